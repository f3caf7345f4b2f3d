//! Two files of different days: the log must have gone on from the earlier one. A log that was restored from a backup and
//! went on from there is another log, whoever signs it.

use std::path::Path;

use tsunagi_core::checkpoint::SignedHead;

use super::evidence::Evidence;
use super::offline::{Found, failed, root_at};
use crate::commands::{CommandFault, Output};

/// Holds a file against one from an earlier day; both were found to hold by themselves.
pub(super) fn check(
    output: &Output,
    (newer, found): (&Evidence, &Found),
    (before, held): (&Evidence, &Found),
) -> Result<(), CommandFault> {
    same_leaves(output, found, held)?;
    for old in &held.heads {
        let newest = found.heads.iter().filter(|head| head.origin == old.origin).max_by_key(|head| head.size);
        let Some(new) = newest else {
            let origin = &old.origin;
            return Err(failed(
                output,
                &format!("新しいファイルは {origin} について何も述べていません"),
                &format!("the newer file says nothing of {origin}"),
            ));
        };
        if new.size < old.size {
            return Err(forked(output, old, &format!("{} < {}", new.size, old.size), None));
        }
        if new.size == old.size {
            if new.root == old.root {
                continue;
            }
            return Err(forked(output, old, "", first_difference(newer, before)?));
        }
        grown(output, (newer, found, new), (before, held, old))?;
    }
    Ok(())
}

/// A leaf that both files tell of is one leaf.
fn same_leaves(output: &Output, found: &Found, held: &Found) -> Result<(), CommandFault> {
    for (origin, index, hash) in &held.leaves {
        let other = found.leaves.iter().find(|(log, at, other)| log == origin && at == index && other != hash);
        if other.is_some() {
            return Err(failed(
                output,
                &format!("{origin} の葉 {index} は前のファイルと異なります。記録が枝分かれしています"),
                &format!("leaf {index} of {origin} is another than in the earlier file: the log was forked"),
            ));
        }
    }
    Ok(())
}

/// The newer head is of a longer log.
fn grown(
    output: &Output,
    (newer, found, new): (&Evidence, &Found, &SignedHead),
    (before, held, old): (&Evidence, &Found, &SignedHead),
) -> Result<(), CommandFault> {
    match (newer, &found.export) {
        (Evidence::Growth(growth, _), _) if growth.old == old.size => match growth.holds(&old.root, new) {
            true => Ok(()),
            false => Err(forked(output, old, "", None)),
        },
        (Evidence::Export(_, path), Some(export)) if export.from == 0 && export.to >= old.size => {
            let (root, _) = root_at(path, old.size)?;
            if root == old.root { Ok(()) } else { Err(forked(output, old, "", first_difference(newer, before)?)) }
        }
        // Leaves that both tell of are the same in both: that much of the log has stayed.
        (Evidence::Leaves(..), _)
            if !held.leaves.is_empty() && held.leaves.iter().all(|leaf| found.leaves.contains(leaf)) =>
        {
            Ok(())
        }
        _ => {
            // The whole log always tells. No proof of growth comes from a log that was forked: it has no checkpoint of
            // the old size.
            let tenant = old.origin.rsplit('/').next().unwrap_or_default();
            let export = format!("tsunagi audit export --tenant {tenant} FILE");
            Err(failed(
                output,
                &format!("この2つからは分かりません。`{export}` で記録全体を書き出し、--export に指定してください"),
                &format!("these two do not tell: write the whole log with `{export}` and give that as --export"),
            ))
        }
    }
}

/// Where two exports part, if both begin with the first leaf.
fn first_difference(newer: &Evidence, before: &Evidence) -> Result<Option<u64>, CommandFault> {
    let whole = |evidence: &Evidence| match evidence {
        Evidence::Export(head, path) if head.from == 0 => Some(path.clone()),
        _ => None,
    };
    let (Some(newer), Some(before)) = (whole(newer), whole(before)) else { return Ok(None) };
    let hashes = |path: &Path| root_at(path, u64::MAX).map(|(_, hashes)| hashes);
    let (newer, before) = (hashes(&newer)?, hashes(&before)?);
    Ok((0..).zip(newer.iter().zip(&before)).find_map(|(leaf, (new, old))| (new != old).then_some(leaf)))
}

fn forked(output: &Output, old: &SignedHead, sizes: &str, leaf: Option<u64>) -> CommandFault {
    let SignedHead { origin, size, .. } = old;
    let (at_ja, at_en) =
        leaf.map_or_else(Default::default, |leaf| (format!("葉 {leaf} から。"), format!(" from leaf {leaf} on")));
    let sizes = if sizes.is_empty() { String::new() } else { format!(" ({sizes})") };
    failed(
        output,
        &format!(
            "{origin} は大きさ {size} の検査点の続きではありません{sizes}。{at_ja}枝分かれしたか、切り詰められています"
        ),
        &format!("{origin} does not go on from the checkpoint of size {size}{sizes}: it was forked or cut{at_en}"),
    )
}
