//! `tsunagi audit verify --export`: on any machine, with the hub's public key and nothing else.

use std::cmp::Ordering;
use std::path::Path;

use indicatif::ProgressBar;
use serde::Serialize;
use tsunagi_core::checkpoint::{SignedHead, Verifier};
use tsunagi_core::merkle::{Frontier, Hash, leaf_hash, verify_inclusion};

use super::evidence::{Evidence, ExportHead, ExportLine};
use super::held_against;
use crate::commands::{CommandFault, Output, read_text};

/// What was found to be true.
pub(super) struct Found {
    /// The head of each log that the file speaks of.
    pub heads: Vec<SignedHead>,
    /// Leaves that lie at their places: log, index, hash.
    pub leaves: Vec<(String, u64, Hash)>,
    /// How many leaves that is; those of an export are counted, not kept.
    pub count: u64,
    /// How many leaves are told of without a proof: of what is said there nothing was found to be true.
    pub unproved: u64,
    /// What an export says of its leaves.
    pub export: Option<Exported>,
}

/// The leaves of an export that holds.
pub(super) struct Exported {
    /// The first.
    pub from: u64,
    /// One past the last.
    pub to: u64,
}

/// What is printed.
#[derive(Serialize)]
struct Shown {
    verified: bool,
    leaves: u64,
    not_proved: u64,
    checkpoints: Vec<ShownHead>,
}

#[derive(Serialize)]
struct ShownHead {
    origin: String,
    size: u64,
    root: String,
}

/// Runs the command.
pub(super) fn run(output: &Output, file: &Path, key_file: &Path, earlier: Option<&Path>) -> Result<(), CommandFault> {
    let verifier = Verifier::parse(&read_text(key_file)?).map_err(|_| {
        let file = key_file.display();
        CommandFault::Refused(output.say(
            &format!("{file}: `tsunagi audit key` が出力した鍵ではありません"),
            &format!("{file}: not a key as `tsunagi audit key` prints it"),
        ))
    })?;
    let evidence = Evidence::read(file)?;
    if matches!(evidence, Evidence::Growth(_, None)) && earlier.is_none() {
        return Err(CommandFault::Refused(output.say(
            "成長の証明は、--earlier で以前の検査点を指定して初めて検証できます",
            "a proof of growth proves nothing alone: give what is held from before as --earlier",
        )));
    }
    let found = verify(output, &verifier, &evidence)?;
    if let Some(earlier) = earlier {
        let before = Evidence::read(earlier)?;
        let held = verify(output, &verifier, &before)?;
        held_against::check(output, (&evidence, &found), (&before, &held))?;
    }
    let heads = found.heads.iter().map(|head| ShownHead {
        origin: head.origin.clone(),
        size: head.size,
        root: hex::encode(head.root),
    });
    let (leaves, not_proved) = (found.count, found.unproved);
    let shown = Shown { verified: true, leaves, not_proved, checkpoints: heads.collect() };
    output.print(&shown, |shown| {
        let lines = shown.checkpoints.iter().map(|head| {
            let ShownHead { origin, size, .. } = head;
            output.say(&format!("{origin}: 署名された大きさ {size}"), &format!("{origin}: signed at size {size}"))
        });
        let count = shown.leaves;
        let words = output.say(&format!("検証済 葉 {count}"), &format!("verified, leaves: {count}"));
        let others = shown.not_proved;
        let unproved = output.say(&format!("証明なし {others}"), &format!("not proved: {others}"));
        lines.chain([words]).chain((others > 0).then_some(unproved)).collect::<Vec<_>>().join("\n")
    })
}

/// What holds of a file; the first thing that does not, in words that name the leaf.
pub(super) fn verify(output: &Output, verifier: &Verifier, evidence: &Evidence) -> Result<Found, CommandFault> {
    match evidence {
        Evidence::Checkpoint(note) => Ok(Found::of(open(output, verifier, note)?)),
        Evidence::Growth(growth, old) => {
            let new = open(output, verifier, &growth.checkpoint)?;
            if let Some(old) = old {
                let old = open(output, verifier, old)?;
                if old.origin != new.origin || old.size != growth.old || !growth.holds(&old.root, &new) {
                    let (ja, en) = (
                        "2つの検査点の間の成長を証明していません",
                        "this does not prove that the one log grew to the other",
                    );
                    return Err(failed(output, ja, en));
                }
            }
            Ok(Found::of(new))
        }
        Evidence::Export(head, path) => exported(output, verifier, head, path),
        Evidence::Leaves(told, unproved) => {
            let mut found =
                Found { heads: Vec::new(), leaves: Vec::new(), count: 0, unproved: *unproved, export: None };
            for one in told {
                let proof = one.proof.as_ref().ok_or_else(|| wrong_leaf(output, &one.leaf))?;
                let head = open(output, verifier, &proof.checkpoint)?;
                proof.verify(verifier).map_err(|_| wrong_leaf(output, &one.leaf))?;
                found.leaves.push((head.origin.clone(), proof.index, proof.leaf));
                found.count += 1;
                if !found.heads.contains(&head) {
                    found.heads.push(head);
                }
            }
            Ok(found)
        }
    }
}

impl Found {
    fn of(head: SignedHead) -> Self {
        Self { heads: vec![head], leaves: Vec::new(), count: 0, unproved: 0, export: None }
    }
}

/// Reads an export to its end: every leaf has its own proof, and none is missing, added or out of its order.
fn exported(output: &Output, verifier: &Verifier, head: &ExportHead, path: &Path) -> Result<Found, CommandFault> {
    let signed = open(output, verifier, &head.checkpoint)?;
    if signed.origin != head.origin || head.from >= head.to || head.to > signed.size {
        return Err(failed(output, "先頭行が検査点と一致しません", "the first line does not fit its checkpoint"));
    }
    let bar = ProgressBar::new(head.to - head.from);
    let mut next = head.from;
    for line in Evidence::lines(path)? {
        let line = line?;
        let broken = |_| wrong_leaf(output, &next.to_string());
        let line: ExportLine = serde_json::from_str(&line).map_err(broken)?;
        if next >= head.to {
            return Err(added(output, line.leaf));
        }
        let hash = leaf_hash(line.event.as_bytes());
        let holds =
            line.hashes().is_some_and(|proof| verify_inclusion(&hash, line.leaf, signed.size, &proof, &signed.root));
        if !holds || hex::encode(hash) != line.hash {
            return Err(wrong_leaf(output, &line.leaf.to_string()));
        }
        match line.leaf.cmp(&next) {
            Ordering::Equal => {}
            Ordering::Less => return Err(added(output, line.leaf)),
            Ordering::Greater if comes_later(path, next)? => return Err(reordered(output, next, line.leaf)),
            Ordering::Greater => return Err(removed(output, next)),
        }
        next += 1;
        bar.set_position(next - head.from);
    }
    bar.finish_and_clear();
    if next < head.to {
        return Err(removed(output, next));
    }
    let export = Some(Exported { from: head.from, to: head.to });
    Ok(Found { heads: vec![signed], leaves: Vec::new(), count: head.to - head.from, unproved: 0, export })
}

/// True if the leaf is somewhere in the file.
fn comes_later(path: &Path, leaf: u64) -> Result<bool, CommandFault> {
    let is_it = |line: std::io::Result<String>| {
        line.is_ok_and(|line| serde_json::from_str::<ExportLine>(&line).is_ok_and(|line| line.leaf == leaf))
    };
    Ok(Evidence::lines(path)?.any(is_it))
}

/// The root over the first `size` leaves of an export that begins with the first, and the hashes of its leaves.
pub(super) fn root_at(path: &Path, size: u64) -> Result<(Hash, Vec<Hash>), CommandFault> {
    let mut frontier = Frontier::new();
    let mut hashes = Vec::new();
    for line in Evidence::lines(path)?.take(usize::try_from(size).unwrap_or(usize::MAX)) {
        let line: ExportLine = serde_json::from_str(&line?).map_err(|error| CommandFault::Failed(error.to_string()))?;
        let hash = leaf_hash(line.event.as_bytes());
        frontier.push(hash);
        hashes.push(hash);
    }
    Ok((frontier.root(), hashes))
}

fn open(output: &Output, verifier: &Verifier, note: &str) -> Result<SignedHead, CommandFault> {
    verifier.open(note).map_err(|fault| {
        failed(
            output,
            &format!("検査点を信用できません（{fault}）"),
            &format!("the checkpoint is not believed: {fault}"),
        )
    })
}

fn wrong_leaf(output: &Output, leaf: &str) -> CommandFault {
    failed(
        output,
        &format!("葉 {leaf} は、検査点のもとのその位置にあったものではありません"),
        &format!("leaf {leaf} is not what stands at its place under the checkpoint"),
    )
}

fn removed(output: &Output, leaf: u64) -> CommandFault {
    failed(output, &format!("葉 {leaf} が取り除かれています"), &format!("leaf {leaf} was removed"))
}

fn added(output: &Output, leaf: u64) -> CommandFault {
    failed(output, &format!("葉 {leaf} が余分に加えられています"), &format!("leaf {leaf} was added"))
}

fn reordered(output: &Output, expected: u64, found: u64) -> CommandFault {
    failed(
        output,
        &format!("葉 {expected} の位置に葉 {found} があります"),
        &format!("leaf {found} stands where leaf {expected} belongs"),
    )
}

/// A failure in words.
pub(super) fn failed(output: &Output, ja: &str, en: &str) -> CommandFault {
    CommandFault::Failed(output.say(ja, en))
}
