//! `tsunagi store copy`

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tsunagi_store::copy::{Copied, CopyFault, End, Phase, Site, Step, Which, copy};
use tsunagi_store::{Keyring, MasterKey};

use crate::commands::audit::describe;
use crate::commands::output::table;
use crate::commands::{CommandFault, Context, Output};
use crate::config::Config;
use crate::gateway::{make_private_folder, open_signer};
use crate::secret::read_key;

/// Copies the store of one configuration to the place that another names.
pub(super) async fn run(context: &Context, to: &Path) -> Result<(), CommandFault> {
    let output = context.output;
    let (from, to) = (context.config()?, context.config_of(Some(to))?);
    let (source, destination) = (name(&from), name(&to));
    if source == destination {
        return Err(CommandFault::Usage(output.say(
            &format!("コピー元とコピー先が同じです: {source}"),
            &format!("both configurations name the same store: {source}"),
        )));
    }
    let public_key = open_signer(&from)?.public_key();
    if open_signer(&to)?.public_key() != public_key {
        return Err(CommandFault::Usage(output.say(
            "二つの設定の検査点の鍵（keys.checkpoint_key_file）が違います",
            "the two configurations have different keys for checkpoints (keys.checkpoint_key_file)",
        )));
    }
    if read_key(&from.master_key_file)?.expose() != read_key(&to.master_key_file)?.expose() {
        return Err(refused(output, CopyFault::OtherKey));
    }
    // A folder is made for what is about to be there, and not for what is looked for.
    if let (None, Some(folder)) = (&to.postgres, to.store_path.parent())
        && (from.postgres.is_some() || from.store_path.exists())
    {
        make_private_folder(folder)?;
    }
    let bar = ProgressBar::new(0).with_style(style());
    let watch = |step: &Step<'_>| {
        bar.set_length(step.total);
        bar.set_position(step.done);
        bar.set_message(format!("{} {}", doing(output, step.phase), step.what));
        true
    };
    let copied = Box::pin(copy(end(&from)?, end(&to)?, &public_key, &watch)).await;
    bar.finish_and_clear();
    let copied = copied.map_err(|fault| refused(output, fault))?;
    report(output, (&source, &destination), &copied)
}

/// Where a store is, as the operator knows it. A URL holds no password.
fn name(config: &Config) -> String {
    match &config.postgres {
        Some(server) => server.url.clone(),
        None => {
            let path = config.store_path.canonicalize();
            path.unwrap_or_else(|_| config.store_path.clone()).display().to_string()
        }
    }
}

fn end(config: &Config) -> Result<End, CommandFault> {
    let keyring = Keyring::new(MasterKey::from_bytes(read_key(&config.master_key_file)?));
    #[cfg(feature = "postgres")]
    if let Some(server) = &config.postgres {
        return Ok(End { site: Site::Server(crate::postgres::server(server)?), keyring });
    }
    Ok(End { site: Site::File(config.store_path.clone()), keyring })
}

fn style() -> ProgressStyle {
    let template = "{msg:32} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn doing(output: Output, phase: Phase) -> String {
    match phase {
        Phase::Comparing => output.say("照合中", "comparing"),
        Phase::Copying => output.say("コピー中", "copying"),
        Phase::Verifying => output.say("監査記録を検証中", "verifying"),
    }
}

fn report(output: Output, (from, to): (&str, &str), copied: &Copied) -> Result<(), CommandFault> {
    let logs: Vec<Value> = copied
        .logs
        .iter()
        .map(|head| json!({ "tenant": head.tenant, "leaves": head.size, "sealed": head.sealed, "root": head.root }))
        .collect();
    let value = json!({ "from": from, "to": to, "rows": copied.rows, "tables": copied.tables, "logs": logs });
    output.print(&value, |_| {
        let rows = |rows: Vec<(String, String)>| rows.into_iter().map(|(name, count)| vec![name, count]).collect::<Vec<_>>();
        let tables = copied.tables.iter().map(|(name, rows)| ((*name).to_owned(), rows.to_string()));
        let logs: Vec<Vec<String>> = copied
            .logs
            .iter()
            .map(|head| {
                let root = head.root.clone().unwrap_or_default();
                vec![head.tenant.clone(), head.size.to_string(), head.sealed.to_string(), root]
            })
            .collect();
        let done = output.say(
            &format!("{from} を {to} にコピーしました（今回 {} 行）。件数・内容・監査記録は一致しています", copied.rows),
            &format!("{from} was copied to {to} ({} rows in this run); counts, rows and logs are the same", copied.rows),
        );
        let next = output.say(
            "今後は --to の設定で serve を動かしてください。コピー元では二度と動かさないでください（監査記録が枝分かれします）",
            "run serve with the configuration of --to from now on, and never again on the source: its logs would fork",
        );
        let tables = table(&["table", "rows"], &rows(tables.collect()));
        format!("{done}\n\n{tables}\n\n{}\n\n{next}", table(&["log", "leaves", "sealed", "root"], &logs))
    })
}

fn refused(output: Output, fault: CopyFault) -> CommandFault {
    let again = output.say(
        "コピー先を空にして（ファイルを消すかデータベースを作り直して）最初からやり直してください",
        "empty the destination (remove the file, or make the database anew) and begin again",
    );
    let text = match fault {
        CopyFault::Differs(what) => output.say(
            &format!("コピー先の {what} がコピー元と一致しません。{again}"),
            &format!("{what} is not the same at the destination: {again}"),
        ),
        CopyFault::InUse(which) => {
            let (ja, en) = match which {
                Which::Destination => ("コピー先", "destination"),
                Which::Source => ("コピー元", "source"),
            };
            output.say(
                &format!("{ja}のストアを serve かほかのコマンドが開いています。停止してからやり直してください"),
                &format!("a hub or another command has the {en} open: stop it and try again"),
            )
        }
        CopyFault::Moved => output.say(
            &format!("コピーの開始後にコピー元が変わりました。{again}"),
            &format!("the source has changed since the copy began: {again}"),
        ),
        CopyFault::NoSource => {
            return CommandFault::Unavailable(output.say(
                "コピー元にストアがありません。--config を確かめてください",
                "there is no store at the source; check --config",
            ));
        }
        CopyFault::NotEmpty => output.say(
            "コピー先が空ではありません。何も変更していません",
            "the destination is not empty; nothing was changed",
        ),
        CopyFault::OfAnother => output.say(
            "コピー先には別のストアの途中までのコピーがあります。何も変更していません",
            "the destination is the unfinished copy of another store; nothing was changed",
        ),
        CopyFault::OtherKey => {
            return CommandFault::Usage(output.say(
                "二つの設定のマスター鍵（keys.master_key_file）が違います",
                "the two configurations have different master keys (keys.master_key_file)",
            ));
        }
        CopyFault::Stopped => output.say("中断しました", "stopped"),
        CopyFault::Unverified(verdicts) => {
            let faults = verdicts.iter().filter_map(|verdict| {
                verdict.fault.as_ref().map(|fault| format!("{}: {}", verdict.tenant, describe(&output, fault)))
            });
            let faults = faults.collect::<Vec<_>>().join("\n");
            output.say(
                &format!("監査記録を検証できません。コピー元でも audit verify を確かめてください\n{faults}"),
                &format!("a log does not verify; see what `audit verify` says of the source\n{faults}"),
            )
        }
        CopyFault::Store(error) => return error.into(),
    };
    CommandFault::Failed(text)
}
