//! Writes a large CP932 file of entitlements to standard output, or, with `--wrong`, what is wrong in it: a line of row,
//! column and code for each row that has to be refused.

use std::io::{BufWriter, Write};

use tsunagi_tests::bulk;

fn main() -> std::io::Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let wants_wrong = arguments.first().is_some_and(|first| first == "--wrong");
    if wants_wrong {
        arguments.remove(0);
    }
    let Some(rows) = arguments.first().and_then(|rows| rows.parse::<u64>().ok()) else {
        eprintln!("usage: entitlements [--wrong] ROWS");
        std::process::exit(64);
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    if wants_wrong {
        for (row, wrong) in (1..=rows).filter_map(|row| Some((row, bulk::wrong(row)?))) {
            writeln!(out, "{row}\t{}\t{}", wrong.column, wrong.code)?;
        }
        return out.flush();
    }
    let lines = std::iter::once(bulk::header()).chain((1..=rows).map(bulk::line));
    for line in lines {
        let (bytes, _, unmappable) = encoding_rs::SHIFT_JIS.encode(&line);
        assert!(!unmappable, "CP932 holds every character of the file");
        out.write_all(&bytes)?;
        out.write_all(b"\r\n")?;
    }
    out.flush()
}
