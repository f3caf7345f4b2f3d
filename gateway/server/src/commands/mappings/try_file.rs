//! `tsunagi mappings try`

use std::io::{BufWriter, Stdout, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tsunagi_adapters::{Adapter, Rows, Source, adapter};
use tsunagi_core::document::Document;
use tsunagi_core::fault::RowFault;
use tsunagi_core::id::LayoutId;
use tsunagi_mappings::{Context as MappingContext, Layout, Tables};

use super::{CommandFault, Context, find, tables};
use crate::commands::open_file;
use crate::commands::output::{at, table};

/// A file with more rows is shown by its faults only.
const SHOWN_IN_FULL: usize = 100;

/// How often a line tells how far it is, where there is no terminal for a bar.
const ROWS_PER_LINE: u64 = 100_000;

/// Reads the file through the layout and prints what each row becomes.
pub(super) fn run(context: &Context, id: &LayoutId, file: &Path) -> Result<(), CommandFault> {
    let tables = tables(context)?;
    let layout = find(context, &tables, id)?;
    let adapter = adapter(layout.format()).map_err(CommandFault::Usage)?;
    let is_small = rows(context, layout, adapter, open_file(file)?)?.take(SHOWN_IN_FULL + 1).count() <= SHOWN_IN_FULL;

    let source = open_file(file)?;
    let bar = ProgressBar::new(source.metadata()?.len());
    bar.set_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {eta}").unwrap_or_else(|_| {
        // The template is a constant: it can be read.
        ProgressStyle::default_bar()
    }));
    let rows = rows(context, layout, adapter, bar.wrap_read(source))?;
    let mapping = MappingContext { today: context.clock.today(), check_digits_are_errors: false };
    let mut trial = Trial { context, tables: &tables, layout, mapping, bar: &bar, is_small, counts: Counts::default() };
    let mut page = Page::open(context.output.json)?;
    for row in rows {
        trial.row(row, &mut page)?;
    }
    bar.finish_and_clear();
    page.close(context, &trial.counts)?;
    if trial.counts.refused == 0 { Ok(()) } else { Err(CommandFault::Refused(String::new())) }
}

fn rows<'a>(
    context: &Context,
    layout: &Layout,
    adapter: &'static dyn Adapter,
    source: impl Source + 'a,
) -> Result<Rows<'a>, CommandFault> {
    adapter
        .decode_source(Box::new(source), Some(layout.charset()))
        .map_err(|fault| CommandFault::Refused(context.output.pick(&fault.reason).to_owned()))
}

#[derive(Debug, Default)]
struct Counts {
    accepted: u64,
    refused: u64,
    warned: u64,
}

struct Trial<'a> {
    context: &'a Context,
    tables: &'a Tables,
    layout: &'a Layout,
    mapping: MappingContext,
    bar: &'a ProgressBar,
    is_small: bool,
    counts: Counts,
}

impl Trial<'_> {
    fn row(&mut self, row: Result<Document, RowFault>, page: &mut Page) -> Result<(), CommandFault> {
        let read = self.counts.accepted + self.counts.refused + 1;
        if self.bar.is_hidden() && read.is_multiple_of(ROWS_PER_LINE) {
            eprintln!("{}", self.context.output.say(&format!("{read} 行"), &format!("{read} rows")));
        }
        let (number, document, faults) = match row {
            Err(fault) => {
                self.counts.refused += 1;
                (fault.row, None, vec![fault])
            }
            Ok(document) => {
                let faults = self.tried(&document);
                (document.row, Some(document), faults)
            }
        };
        if faults.is_empty() && !self.is_small {
            return Ok(());
        }
        let steps = document.map(|document| self.steps(&document)).unwrap_or_default();
        let text = if self.context.output.json {
            json!({ "row": number, "steps": steps, "faults": faults }).to_string()
        } else {
            people(self.context, number, &steps, &faults)
        };
        self.bar.suspend(|| page.row(&text))
    }

    /// The faults of a row, or its warnings.
    fn tried(&mut self, document: &Document) -> Vec<RowFault> {
        match self.tables.canonicalize(self.layout, document, &self.mapping) {
            Ok(canonical) => {
                self.counts.accepted += 1;
                self.counts.warned += u64::from(!canonical.warnings.is_empty());
                canonical.warnings
            }
            Err(faults) => {
                self.counts.refused += 1;
                faults
            }
        }
    }

    fn steps(&self, document: &Document) -> Vec<Value> {
        let explained = self.tables.explain(self.layout, document, &self.mapping);
        let step = |step: tsunagi_mappings::Step| {
            json!({
                "column": step.path, "cell": step.cell, "converted": step.converted, "code": step.code,
                "field": step.field, "value": step.value,
                "fault": step.faults.iter().chain(&step.warnings).next().map(|fault| fault.code),
            })
        };
        explained.into_iter().map(step).collect()
    }
}

/// Standard output, written as rows come: a file of any size is never held.
struct Page {
    out: BufWriter<Stdout>,
    is_json: bool,
    has_rows: bool,
}

impl Page {
    fn open(is_json: bool) -> Result<Self, CommandFault> {
        let mut page = Self { out: BufWriter::new(std::io::stdout()), is_json, has_rows: false };
        if is_json {
            page.write("{\n\"rows\": [")?;
        }
        Ok(page)
    }

    fn row(&mut self, text: &str) -> Result<(), CommandFault> {
        if !self.is_json {
            self.write(text)?;
            self.write("\n")?;
            // Somebody may be looking on.
            return self.flush();
        }
        self.write(if self.has_rows { ",\n" } else { "\n" })?;
        self.has_rows = true;
        self.write(text)
    }

    fn close(&mut self, context: &Context, counts: &Counts) -> Result<(), CommandFault> {
        let Counts { accepted, refused, warned } = counts;
        let text = if self.is_json {
            format!("\n],\n\"accepted\": {accepted},\n\"refused\": {refused},\n\"warned\": {warned}\n}}\n")
        } else {
            let words = context.output.say(
                &format!("受付できる行 {accepted}（うち注意 {warned}）、拒否される行 {refused}"),
                &format!("{accepted} rows fit ({warned} with a warning), {refused} would be refused"),
            );
            format!("{words}\n")
        };
        self.write(&text)?;
        self.flush()
    }

    fn write(&mut self, text: &str) -> Result<(), CommandFault> {
        self.out.write_all(text.as_bytes()).map_err(gone)
    }

    fn flush(&mut self) -> Result<(), CommandFault> {
        self.out.flush().map_err(gone)
    }
}

/// A reader that has gone away ends the command quietly.
fn gone(error: std::io::Error) -> CommandFault {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => CommandFault::Failed(String::new()),
        _ => error.into(),
    }
}

fn people(context: &Context, row: u64, steps: &[Value], faults: &[RowFault]) -> String {
    let columns = ["column", "cell", "converted", "code", "field", "value", "fault"];
    let cell = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let rows: Vec<Vec<String>> = steps
        .iter()
        .filter(|step| !at(step, "/cell").is_null() || !at(step, "/fault").is_null())
        .map(|step| columns.map(|name| cell(step.get(name).unwrap_or(&Value::Null))).to_vec())
        .collect();
    let mut text = format!("── {} {row}\n", context.output.say("行", "row"));
    text.push_str(&table(&columns, &rows));
    for fault in faults {
        text.push_str(&format!("\n{} [{}] {}", fault.column, fault.code.as_str(), context.output.pick(&fault.reason)));
    }
    text
}
