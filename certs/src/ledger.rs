//! The ledger: one JSON line for each certificate issued and each one revoked. Lines are added, never changed.
//!
//! # The chain
//!
//! Each line carries the SHA-256 of the line before it, the first one that of nothing. So a line that was changed or taken
//! out shows when the ledger is opened, and is refused: with it a certificate could no longer be found and revoked.
//! What the chain does not show: lines taken off the **end**, for nothing comes after them, and a ledger that was written
//! anew from some line on by somebody who made the sums again. The hub's audit log has a leaf for every line and shows
//! both; [`Authority::restore`](crate::Authority::restore) brings a lost line back from its certificate. Ledgers from
//! before there was a chain are read as they are, up to the first line that carries one.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::{Folder, PRIVATE};
use crate::error::CertsError;
use crate::peer::fingerprint;
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
        Ok(text) => Ok(read(whole_lines(&text))?.entries),
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
    /// The ledger had lost a certificate, and it was entered again from the certificate itself.
    Restored(LedgerEntry),
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

/// A line with what ties it to the one before it.
#[derive(Debug, Serialize, Deserialize)]
struct Chained {
    /// SHA-256 of the line before, without its line end. None in a ledger from before there was a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    #[serde(flatten)]
    line: Line,
}

/// The file, open for adding lines under the lock of its folder.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    path: PathBuf,
    /// Octets of the lines that are known to be on disk. What lies past them was never acted upon.
    whole: usize,
    /// SHA-256 of the last of them, for the next one.
    last: String,
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
    /// be read or does not follow the one before it is damage and refused: a revocation may be behind it.
    pub(crate) fn open(folder: &Folder) -> Result<Self, CertsError> {
        let path = folder.at(LEDGER);
        if !path.exists() {
            return Err(CertsError::NotInitialised { file: path });
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).mode(PRIVATE).open(&path).map_err(CertsError::io("open", &path))?;
        let mut ledger = Self { file, path, whole: 0, last: String::new() };
        let text = ledger.text()?;
        let lines = whole_lines(&text);
        ledger.last = read(lines)?.last;
        ledger.whole = lines.len();
        Ok(ledger)
    }

    /// Every certificate in the order of issue, revocations folded in.
    pub(crate) fn entries(&self) -> Result<Vec<LedgerEntry>, CertsError> {
        Ok(self.told()?.entries)
    }

    /// True if a certificate was lost and entered again.
    pub(crate) fn was_restored(&self, serial: &str) -> Result<bool, CertsError> {
        Ok(self.told()?.restored.iter().any(|restored| restored == serial))
    }

    fn told(&self) -> Result<Told, CertsError> {
        let text = self.text()?;
        // A line whose append failed may be there all the same, and the next append takes it away again.
        let cut = || CertsError::Damaged { file: self.path.clone(), what: "was cut short" };
        read(text.get(..self.whole).ok_or_else(cut)?)
    }

    /// Adds a line and returns when it is on disk.
    pub(crate) fn append(&mut self, line: Line) -> Result<(), CertsError> {
        let chained = Chained { previous: Some(self.last.clone()), line };
        let mut text =
            serde_json::to_vec(&chained).map_err(|error| CertsError::io("write", &self.path)(error.into()))?;
        let last = fingerprint(&text);
        text.push(b'\n');
        // Cuts off what a crash or a full disk left of an earlier line; the file is in append mode, so this one follows.
        self.file
            .set_len(self.whole as u64)
            .and_then(|()| self.file.write_all(&text))
            .and_then(|()| self.file.sync_all())
            .map_err(CertsError::io("write", &self.path))?;
        self.whole += text.len();
        self.last = last;
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

/// What the lines say.
struct Told {
    entries: Vec<LedgerEntry>,
    /// Serial numbers of those that were lost for a time.
    restored: Vec<String>,
    /// SHA-256 of the last line.
    last: String,
}

fn read(lines: &[u8]) -> Result<Told, CertsError> {
    let mut entries: Vec<LedgerEntry> = Vec::new();
    let (mut restored, mut is_chained, mut last) = (Vec::new(), false, fingerprint(b""));
    for (at, line) in (1..).zip(lines.split_inclusive(|octet| *octet == b'\n')) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let damaged = || CertsError::LedgerDamaged { line: at };
        let Chained { previous, line: told } = serde_json::from_slice(line).map_err(|_| damaged())?;
        // Once a line is chained, all that follow are.
        is_chained |= previous.is_some();
        if is_chained && previous.as_ref() != Some(&last) {
            return Err(CertsError::LedgerBroken { line: at });
        }
        last = fingerprint(line);
        match told {
            Line::Issued(entry) => entries.push(entry),
            Line::Restored(entry) => {
                restored.push(entry.serial.clone());
                entries.push(entry);
            }
            Line::Revoked { serial, at, reason } => {
                let entry = entries.iter_mut().find(|entry| entry.serial == serial).ok_or_else(damaged)?;
                entry.revoked_at = Some(at);
                entry.reason = Some(reason);
            }
        }
    }
    Ok(Told { entries, restored, last })
}

#[cfg(test)]
mod tests;
