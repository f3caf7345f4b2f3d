//! Files that are not in memory.

use std::io::{Cursor, Error, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tsunagi_core::document::{Content, Document};
use tsunagi_core::fault::RowFault;

use super::super::MunicipalCsv;
use crate::plug::{Adapter, Source};

/// A file of which little is there at a time, and which may fail.
struct Slow {
    inner: Cursor<Vec<u8>>,
    most: usize,
    /// Reading fails at this offset of the second pass.
    breaks_at: u64,
    passes: u64,
    read: Arc<AtomicU64>,
}

impl Slow {
    fn new(bytes: Vec<u8>, most: usize) -> Self {
        Self { inner: Cursor::new(bytes), most, breaks_at: u64::MAX, passes: 1, read: Arc::default() }
    }
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.passes == 2 && self.inner.position() >= self.breaks_at {
            return Err(Error::other("the disk is gone"));
        }
        let most = self.most.min(buffer.len());
        let length = self.inner.read(&mut buffer[..most])?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

impl Seek for Slow {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.passes += 1;
        self.inner.seek(to)
    }
}

fn decode(source: impl Source, charset: &str) -> Vec<Result<Document, RowFault>> {
    MunicipalCsv.decode_source(Box::new(source), Some(charset)).unwrap().collect()
}

fn cells(row: &Result<Document, RowFault>) -> &[String] {
    match &row.as_ref().unwrap().content {
        Content::Row(row) => &row.cells,
        Content::Tree(_) => panic!("a CSV line is a row"),
    }
}

/// Two-byte characters, line ends and quotes meet the end of a piece at every offset.
#[test]
fn where_a_piece_ends_makes_no_difference() {
    // 予 is 97 5C, then a quoted cell with a line end in it, doubled quotes, and CR LF.
    let line = b"\x97\x5c\x96\x68,\"a\r\n\"\"b\"\"\",\xb1\xdd\r\n";
    for pad in 0..line.len() {
        let mut file = vec![b'x'; pad];
        file.extend_from_slice(b",b,c\r\n");
        for _ in 0..20_000 {
            file.extend_from_slice(line);
        }
        let rows = decode(Slow::new(file, usize::MAX), "cp932");
        assert_eq!(rows.len(), 20_000);
        for row in &rows {
            assert_eq!(cells(row), ["予防", "a\r\n\"b\"", "ｱﾝ"], "pad {pad}");
        }
    }
}

#[test]
fn a_source_may_give_little_at_a_time() {
    let file = "a,b\n予防,\"x\ny\"\n𠮷,2\n";
    for most in [1, 2, 3, 7] {
        let rows = decode(Slow::new(file.as_bytes().to_vec(), most), "utf-8");
        assert_eq!(rows.iter().map(|row| cells(row).to_vec()).collect::<Vec<_>>(), [["予防", "x\ny"], ["𠮷", "2"]]);
    }
}

/// Bad bytes at the far end of a large file are found before the first row is given.
#[test]
fn nothing_is_given_of_a_file_with_bad_bytes() {
    let mut file = b"a\n".to_vec();
    file.extend(b"\x97\x5c\n".repeat(100_000));
    let end = file.len();
    file.extend(b"\x97\x0a");
    let fault = MunicipalCsv.decode_source(Box::new(Cursor::new(file)), Some("cp932")).err().unwrap();
    assert_eq!(fault.reason.en, format!("byte {end} (line 100002) is not CP932"));
    // A lead byte that is the last of its piece belongs to the fault in the next.
    let mut file = b"a\n".to_vec();
    file.resize(64 * 1024 - 1, b'1');
    file.extend(b"\x97\x0a");
    let fault = MunicipalCsv.decode_source(Box::new(Cursor::new(file)), Some("cp932")).err().unwrap();
    assert_eq!(fault.reason.en, "byte 65535 (line 2) is not CP932");
}

#[test]
fn rows_are_read_as_they_are_asked_for() {
    let file = format!("a,b\n{}", "1,2\n".repeat(1_000_000)).into_bytes();
    let length = file.len() as u64;
    let source = Slow::new(file, usize::MAX);
    let read = Arc::clone(&source.read);
    let mut rows = MunicipalCsv.decode_source(Box::new(source), None).unwrap();
    assert!(rows.next().unwrap().is_ok());
    assert!(read.load(Ordering::Relaxed) < length + 200_000, "the second pass has read one piece");
    assert_eq!(rows.count(), 999_999);
}

#[test]
fn a_quote_that_is_not_closed_does_not_draw_the_file_in() {
    let file = format!("a,b\n1,2\n1,\"open\n{}", "1,2\n".repeat(1_000_000)).into_bytes();
    let length = file.len() as u64;
    let source = Slow::new(file, usize::MAX);
    let read = Arc::clone(&source.read);
    let rows: Vec<_> = MunicipalCsv.decode_source(Box::new(source), None).unwrap().collect();
    assert_eq!(rows.len(), 2);
    let fault = rows[1].as_ref().unwrap_err();
    assert_eq!((fault.row, fault.column.as_str()), (2, "b"));
    assert!(fault.reason.en.starts_with("the row is longer than 1 MiB"), "{}", fault.reason.en);
    assert!(read.load(Ordering::Relaxed) < length + 2_000_000);
}

#[test]
fn a_source_that_fails_is_a_fault_of_the_row_it_fails_at() {
    let mut source = Slow::new(format!("a,b\n{}", "1,2\n".repeat(100_000)).into_bytes(), usize::MAX);
    source.breaks_at = 64 * 1024;
    let rows = decode(source, "utf-8");
    let (last, before) = rows.split_last().unwrap();
    assert!(before.len() > 10_000 && before.iter().all(Result::is_ok));
    assert_eq!(last.as_ref().unwrap_err().row, before.len() as u64 + 1);
    assert_eq!(last.as_ref().unwrap_err().reason.en, "the body could not be read");
}
