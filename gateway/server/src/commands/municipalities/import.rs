//! `tsunagi municipalities import`

use std::path::{Path, PathBuf};

use encoding_rs::SHIFT_JIS;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tsunagi_mappings::{MergerImport, TableFault, import_mergers, municipalities_csv};

use super::super::{CommandFault, Context, Output};
use crate::gateway::load_tables;

/// Reads the list and writes the table, or says every line that stands in the way.
pub(super) fn run(context: &Context, file: &Path, dry_run: bool) -> Result<(), CommandFault> {
    let output = context.output;
    let config = context.config()?;
    let target = match &config.tables_folder {
        Some(folder) => Some(target_in(folder, output)?),
        None if dry_run => None,
        None => return Err(no_folder(output)),
    };
    let tables = load_tables(&config)?;
    let text = read(file, output)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let bar = ProgressBar::new(rows_of(&text)).with_style(ProgressStyle::default_bar());
    let import = import_mergers(&name, &text, tables.municipalities(), &mut |row| {
        bar.set_position(row.try_into().unwrap_or(u64::MAX));
    });
    bar.finish_and_clear();
    let is_sound = import.faults.is_empty();
    let written = target.filter(|_| is_sound && !dry_run);
    if let Some(target) = &written {
        write(target, &import)?;
    }
    report(output, &import, tables.municipalities().entries().len(), written.as_deref())?;
    if is_sound { Ok(()) } else { Err(CommandFault::Refused(refused(output, import.faults.len()))) }
}

/// The file that the table goes to. Other files of municipalities in the folder would tell of the same codes again.
fn target_in(folder: &Path, output: Output) -> Result<PathBuf, CommandFault> {
    let folder = folder.join("municipalities");
    let others: Vec<String> = match std::fs::read_dir(&folder) {
        Ok(entries) => entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .filter(|name| name.ends_with(".csv") && name != FILE && !name.starts_with('.'))
            .collect(),
        Err(_) => Vec::new(),
    };
    if others.is_empty() {
        return Ok(folder.join(FILE));
    }
    let (folder, others) = (folder.display(), others.join(", "));
    Err(CommandFault::Usage(output.say(
        &format!("{folder} に {others} があります。取込結果と重なるため、先に {FILE} へまとめるか取り除いてください"),
        &format!("{folder} has {others}, which the table would repeat: put them into {FILE} or remove them first"),
    )))
}

fn no_folder(output: Output) -> CommandFault {
    CommandFault::Usage(output.say(
        "設定の [tables] folder が空のため、書き込む場所がありません。フォルダを指定するか、--dry-run で検査だけを行ってください",
        "`[tables] folder` is empty in the configuration, so there is nowhere to write to: name a folder, or only check \
         with --dry-run",
    ))
}

/// UTF-8, or else CP932: both are offered for download.
fn read(file: &Path, output: Output) -> Result<String, CommandFault> {
    let bytes = std::fs::read(file).map_err(|error| CommandFault::Refused(format!("{}: {error}", file.display())))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => SHIFT_JIS
            .decode_without_bom_handling_and_without_replacement(error.as_bytes())
            .map(std::borrow::Cow::into_owned)
            .ok_or_else(|| {
                let file = file.display();
                CommandFault::Refused(output.say(
                    &format!("{file}: UTF-8 でも CP932 でもありません"),
                    &format!("{file}: neither UTF-8 nor CP932"),
                ))
            }),
    }
}

fn rows_of(text: &str) -> u64 {
    let rows = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes()).into_byte_records().count();
    rows.try_into().unwrap_or(u64::MAX)
}

/// A reader sees the old table or the new one, never half of it.
fn write(target: &Path, import: &MergerImport) -> Result<(), CommandFault> {
    let text = municipalities_csv(&import.entries).map_err(|error| CommandFault::Failed(error.to_string()))?;
    let part = target.with_file_name(format!(".{FILE}.part"));
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&part, text)?;
    Ok(std::fs::rename(&part, target)?)
}

fn report(output: Output, import: &MergerImport, before: usize, written: Option<&Path>) -> Result<(), CommandFault> {
    let shown = |faults: &[TableFault]| -> Vec<Value> {
        let one = |fault: &TableFault| json!({ "line": fault.line, "column": fault.place, "reason": fault.reason });
        faults.iter().map(one).collect()
    };
    let (entries, rows, changes) = (import.entries.len(), import.rows, import.changes);
    let value = json!({
        "rows": rows, "changes": changes, "without_effect": import.without_effect, "entries_before": before,
        "entries": entries, "written": written, "faults": shown(&import.faults), "notes": shown(&import.notes),
    });
    output.print(&value, |_| {
        let mut lines: Vec<String> = import.faults.iter().map(|fault| line(output, fault)).collect();
        let note = output.say("補足", "note");
        lines.extend(import.notes.iter().map(|fault| format!("{note}: {}", line(output, fault))));
        lines.push(output.say(
            &format!("{rows} 行、{changes} 件の変更。市区町村の表は {before} 行から {entries} 行"),
            &format!(
                "{rows} rows, {changes} changes; the table of municipalities goes from {before} to {entries} entries"
            ),
        ));
        lines.push(match written {
            Some(path) => {
                output.say(&format!("{} に書き込みました", path.display()), &format!("written to {}", path.display()))
            }
            None => output.say("書き込んでいません", "nothing was written"),
        });
        lines.join("\n")
    })
}

fn line(output: Output, fault: &TableFault) -> String {
    let at = fault.line.map_or_else(String::new, |line| format!(":{line}"));
    let column = if fault.place.is_empty() { String::new() } else { format!(" {}", fault.place) };
    format!("{}{at}{column}: {}", fault.file, output.pick(&fault.reason))
}

fn refused(output: Output, faults: usize) -> String {
    output.say(
        &format!("{faults} か所が読めないため取り込みません"),
        &format!("not imported: {faults} places cannot be read"),
    )
}

/// The file of the compiled-in table, which one of the same name in the folder replaces.
const FILE: &str = "builtin.csv";

#[cfg(test)]
mod tests;
