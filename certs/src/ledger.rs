//! The ledger: one JSON line for each certificate issued and each one revoked. Lines are added, never changed.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{Folder, PRIVATE};
use crate::error::CertsError;
use crate::reason::Reason;

/// Name of the ledger in the folder.
pub(crate) const LEDGER: &str = "ledger.jsonl";

/// What a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Usage {
    /// Calling as a participant: TLS client authentication.
    Participant,
    /// Being called: TLS server authentication.
    Server,
}

/// One certificate that was issued, with its revocation if there was one. Times are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Serial number, 32 lower-case hexadecimal digits.
    pub serial: String,
    /// What it is good for.
    pub usage: Usage,
    /// For a participant its id alone; for a server its DNS names and IP addresses.
    pub names: Vec<String>,
    /// SHA-256 of the certificate's DER, 64 lower-case hexadecimal digits.
    pub fingerprint_sha256: String,
    /// First second of its validity, five minutes before `issued_at`.
    pub not_before: i64,
    /// Last second of its validity.
    pub not_after: i64,
    /// When it was issued.
    pub issued_at: i64,
    /// True if its key came with a signing request, so that it cannot be renewed without its owner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key_from_request: bool,
    /// Serial number of the certificate whose place it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<String>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<i64>,
    /// Why it was revoked; present exactly if `revoked_at` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl LedgerEntry {
    /// True if a handshake would take it at a moment, as far as the ledger knows.
    pub fn holds_at(&self, now: i64) -> bool {
        self.revoked_at.is_none() && (self.not_before..=self.not_after).contains(&now)
    }
}

/// Reads the ledger of an authority's folder without opening the authority: no lock, no key. Empty where there is no
/// ledger; a line that is being written is not seen yet.
pub fn read_ledger(dir: &Path) -> Result<Vec<LedgerEntry>, CertsError> {
    let file = dir.join(LEDGER);
    match std::fs::read(&file) {
        Ok(text) => entries(whole_lines(&text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(CertsError::io("read", &file)(error)),
    }
}

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line {
    /// A certificate was made. Written before anyone gets it.
    Issued(LedgerEntry),
    /// A certificate was revoked. Written before the list that says so.
    Revoked {
        /// Which one.
        serial: String,
        /// When, in unix seconds.
        at: i64,
        /// Why.
        reason: Reason,
    },
}

/// The file, open for adding lines under the lock of its folder.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    path: PathBuf,
    /// Octets of the lines that are known to be on disk. What lies past them was never acted upon.
    whole: usize,
}

impl Ledger {
    /// Makes an empty ledger.
    pub(crate) fn create(folder: &Folder) -> Result<(), CertsError> {
        folder.replace(LEDGER, "", PRIVATE)
    }

    /// Opens a ledger and reads it once, so that damage shows before anything is issued.
    ///
    /// A last line without its line end is what a crash during [`append`](Self::append) leaves. The line was not yet
    /// on disk, so nothing was handed out under it, and the next append takes its place. Any other line that cannot
    /// be read is damage and refused: a revocation may be behind it.
    pub(crate) fn open(folder: &Folder) -> Result<Self, CertsError> {
        let path = folder.at(LEDGER);
        if !path.exists() {
            return Err(CertsError::NotInitialised { file: path });
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).mode(PRIVATE).open(&path).map_err(CertsError::io("open", &path))?;
        let mut ledger = Self { file, path, whole: 0 };
        let text = ledger.text()?;
        let lines = whole_lines(&text);
        entries(lines)?;
        ledger.whole = lines.len();
        Ok(ledger)
    }

    /// Every certificate in the order of issue, revocations folded in.
    pub(crate) fn entries(&self) -> Result<Vec<LedgerEntry>, CertsError> {
        let text = self.text()?;
        // A line whose append failed may be there all the same, and the next append takes it away again.
        entries(text.get(..self.whole).ok_or(CertsError::Damaged { file: self.path.clone(), what: "was cut short" })?)
    }

    /// Adds a line and returns when it is on disk.
    pub(crate) fn append(&mut self, line: &Line) -> Result<(), CertsError> {
        let mut text = serde_json::to_vec(line).map_err(|error| CertsError::io("write", &self.path)(error.into()))?;
        text.push(b'\n');
        // Cuts off what a crash or a full disk left of an earlier line; the file is in append mode, so this one follows.
        self.file
            .set_len(self.whole as u64)
            .and_then(|()| self.file.write_all(&text))
            .and_then(|()| self.file.sync_all())
            .map_err(CertsError::io("write", &self.path))?;
        self.whole += text.len();
        Ok(())
    }

    fn text(&self) -> Result<Vec<u8>, CertsError> {
        let mut octets = Vec::new();
        File::open(&self.path)
            .and_then(|mut file| file.read_to_end(&mut octets))
            .map_err(CertsError::io("read", &self.path))?;
        Ok(octets)
    }
}

fn whole_lines(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
    text.get(..end).unwrap_or_default()
}

fn entries(lines: &[u8]) -> Result<Vec<LedgerEntry>, CertsError> {
    let mut entries: Vec<LedgerEntry> = Vec::new();
    for (at, line) in lines.split_inclusive(|octet| *octet == b'\n').enumerate() {
        let damaged = || CertsError::LedgerDamaged { line: at + 1 };
        match serde_json::from_slice(line).map_err(|_| damaged())? {
            Line::Issued(entry) => entries.push(entry),
            Line::Revoked { serial, at, reason } => {
                let entry = entries.iter_mut().find(|entry| entry.serial == serial).ok_or_else(damaged)?;
                entry.revoked_at = Some(at);
                entry.reason = Some(reason);
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn issued(digit: char) -> LedgerEntry {
        LedgerEntry {
            serial: digit.to_string().repeat(32),
            usage: Usage::Participant,
            names: vec!["clinic-a".to_owned()],
            fingerprint_sha256: "0".repeat(64),
            not_before: 1,
            not_after: 3,
            issued_at: 2,
            key_from_request: false,
            renews: None,
            revoked_at: None,
            reason: None,
        }
    }

    fn serials(ledger: &Ledger) -> String {
        ledger.entries().unwrap().iter().filter_map(|entry| entry.serial.chars().next()).collect()
    }

    #[test]
    fn a_torn_last_line_gives_way_to_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("ca")).unwrap();
        Ledger::create(&folder).unwrap();
        Ledger::open(&folder).unwrap().append(&Line::Issued(issued('4'))).unwrap();
        let mut torn = fs::read(folder.at(LEDGER)).unwrap();
        torn.extend_from_slice(br#"{"event":"issued","serial":"55"#);
        fs::write(folder.at(LEDGER), torn).unwrap();

        let mut ledger = Ledger::open(&folder).unwrap();
        assert_eq!(serials(&ledger), "4");
        ledger.append(&Line::Issued(issued('6'))).unwrap();
        ledger.append(&Line::Revoked { serial: "4".repeat(32), at: 9, reason: Reason::Superseded }).unwrap();
        assert_eq!(read_ledger(folder.path()).unwrap(), ledger.entries().unwrap());
        drop(ledger);

        let ledger = Ledger::open(&folder).unwrap();
        assert_eq!(serials(&ledger), "46");
        let first = &ledger.entries().unwrap()[0];
        assert_eq!((first.revoked_at, first.reason), (Some(9), Some(Reason::Superseded)));
    }

    #[test]
    fn a_line_that_was_not_confirmed_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("ca")).unwrap();
        Ledger::create(&folder).unwrap();
        let mut ledger = Ledger::open(&folder).unwrap();
        ledger.append(&Line::Issued(issued('4'))).unwrap();
        // As if the line had been written and the disk had then refused to confirm it.
        let mut more = fs::read(folder.at(LEDGER)).unwrap();
        more.extend_from_slice(&[serde_json::to_vec(&Line::Issued(issued('5'))).unwrap(), b"\n".to_vec()].concat());
        fs::write(folder.at(LEDGER), more).unwrap();
        assert_eq!(serials(&ledger), "4");
        ledger.append(&Line::Issued(issued('6'))).unwrap();
        assert_eq!(serials(&ledger), "46");
        fs::write(folder.at(LEDGER), "").unwrap();
        assert!(matches!(ledger.entries(), Err(CertsError::Damaged { .. })));
    }

    #[test]
    fn any_other_damage_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(&dir.path().join("ca")).unwrap();
        Ledger::create(&folder).unwrap();
        let mut ledger = Ledger::open(&folder).unwrap();
        ledger.append(&Line::Issued(issued('4'))).unwrap();
        ledger.append(&Line::Issued(issued('5'))).unwrap();
        let good = fs::read_to_string(folder.at(LEDGER)).unwrap();
        let unknown = format!(r#"{{"event":"revoked","serial":"{}","at":1,"reason":"superseded"}}"#, "6".repeat(32));

        for (text, at) in [
            (good.replacen("issued", "iss", 1), 1),
            (good.clone() + "{\"event\":\n", 3),
            (good.clone() + &unknown + "\n", 3),
            (good.clone() + "\n", 3),
        ] {
            fs::write(folder.at(LEDGER), text).unwrap();
            let found = Ledger::open(&folder);
            assert!(matches!(found, Err(CertsError::LedgerDamaged { line }) if line == at), "{found:?}");
        }
    }
}
