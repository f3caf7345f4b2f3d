//! What can go wrong, each with what to do about it.

use std::path::{Path, PathBuf};

use crate::reason::Reason;

/// Why the authority did not do what was asked. No variant holds a key.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// `init` on a folder that is not empty.
    #[error(
        "{} already exists and is never overwritten: an authority needs a folder of its own, name another; if an earlier init was cut short and nothing was issued, empty the folder first",
        .file.display()
    )]
    AlreadyInitialised {
        /// The file that is in the way.
        file: PathBuf,
    },
    /// The certificate was revoked before, for another reason. RFC 5280 has one entry for a certificate.
    #[error("certificate {serial} is already revoked as {reason}: the first reason stays, there is nothing left to do")]
    AlreadyRevoked {
        /// Serial number, 32 hexadecimal digits.
        serial: String,
        /// The reason that stands.
        reason: Reason,
    },
    /// Another process has the folder open.
    #[error("another process is working in {}: wait for it to end, then run the command again", .dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// A text that holds no certificate.
    #[error("no certificate was found: name a file in PEM that begins with the certificate")]
    Certificate,
    /// What lies in the place of a revocation list is none.
    #[error("{} is not a revocation list of this authority: remove it and publish again, the ledger knows what is revoked", .file.display())]
    CrlDamaged {
        /// The file.
        file: PathBuf,
    },
    /// A file of the authority does not say what it should.
    #[error("{} {what}; if nothing else helps, restore it from a backup", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, as the rest of a sentence.
        what: &'static str,
    },
    /// The certificate has ended, so there is nothing left to overlap with.
    #[error("certificate {serial} ended on {day}: issue a new one instead of renewing it")]
    Ended {
        /// Serial number, 32 hexadecimal digits.
        serial: String,
        /// Its last day, `YYYY-MM-DD`.
        day: String,
    },
    /// A secret that others on the machine can read.
    #[error("{} can be read by others: run chmod 600 on it, and replace what it holds if others may have read it", .file.display())]
    Exposed {
        /// The file of a key or passphrase.
        file: PathBuf,
    },
    /// A hub name that does not fit into a certificate.
    #[error("a hub name has 1 to 48 characters and no control characters: choose a shorter name")]
    HubName,
    /// The file system refused.
    #[error("cannot {doing} {}: {source}", .file.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file or folder.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A private key that cannot be used.
    #[error("the key {what}")]
    Key {
        /// What is wrong, as the rest of a sentence.
        what: &'static str,
    },
    /// A key is never written over another one.
    #[error("{} already exists, and a key is never overwritten: name another file", .file.display())]
    KeyExists {
        /// The file that is in the way.
        file: PathBuf,
    },
    /// A line of the ledger does not carry the sum of the one before it.
    #[error(
        "ledger.jsonl, line {line}, does not follow what stands before it: a line was changed or taken out there; without that line its certificate could not be revoked: bring back the file as it last was, not an older one"
    )]
    LedgerBroken {
        /// Number of the line that does not follow, from 1.
        line: usize,
    },
    /// A line of the ledger that is not the torn last one cannot be read.
    #[error(
        "ledger.jsonl, line {line}, cannot be read: bring back the file as it last was, not an older one; revocations would be lost with it"
    )]
    LedgerDamaged {
        /// Line number, from 1.
        line: usize,
    },
    /// A lifetime of no days, or one that ends after the issuing authority does.
    #[error(
        "{days} days is not a possible lifetime: give at least 1 day, ending no later than the authority does, on {limit}"
    )]
    Lifetime {
        /// The days that were asked for.
        days: u32,
        /// Last day of the issuing authority, `YYYY-MM-DD`.
        limit: String,
    },
    /// The folder holds no authority.
    #[error("{} is missing: name the folder of an authority, or make one with init", .file.display())]
    NotInitialised {
        /// The file that was looked for.
        file: PathBuf,
    },
    /// A certificate that neither issuing authority signed.
    #[error("the certificate was not issued here: its signature is of none of this authority's issuing certificates")]
    NotIssuedHere,
    /// Another certificate has the serial number in the ledger, which this authority never lets happen.
    #[error(
        "the ledger has another certificate under {serial}: this one was not made by this program, so somebody else has the authority's key; make a new authority"
    )]
    OtherCertificate {
        /// Serial number, 32 hexadecimal digits.
        serial: String,
    },
    /// The time handed in lies outside the authority's own validity.
    #[error(
        "the authority is valid from {from} to {limit}: check the clock; if the authority has ended, make a new one in another folder"
    )]
    OutsideValidity {
        /// First day, `YYYY-MM-DD`.
        from: String,
        /// Last day, `YYYY-MM-DD`.
        limit: String,
    },
    /// A participant id that is not one.
    #[error("a participant id has 1 to 96 characters of a-z 0-9 - _ . and begins with a letter or digit")]
    ParticipantId,
    /// A passphrase that is too short or has other characters.
    #[error("a passphrase or password has 8 to 256 printable characters of ASCII, on the first line of its file")]
    Passphrase,
    /// A certificate signing request that cannot be used.
    #[error("the certificate signing request {why}")]
    Request {
        /// What is wrong and what to do, as the rest of a sentence.
        why: &'static str,
    },
    /// A revocation list tells of a revocation that the ledger does not know.
    #[error(
        "{} has certificate {serial} as revoked, and ledger.jsonl does not know of it: the ledger is an older one or was cut short; bring the right one back, or enter the revocation again with certs revoke --certificate FILE",
        .file.display()
    )]
    RevocationLost {
        /// The list.
        file: PathBuf,
        /// Serial number, 32 hexadecimal digits.
        serial: String,
    },
    /// The certificate was revoked, and another is not made from it by renewing.
    #[error("certificate {serial} is revoked: issue a new one if its owner may still take part")]
    Revoked {
        /// Serial number, 32 hexadecimal digits.
        serial: String,
    },
    /// The root's key is not in the folder, and the root's revocation list needs it.
    #[error("{} is not there: put it back for this command; the issuing authority's list has been renewed, the root's has not", .file.display())]
    RootKeyAway {
        /// Where the key should be.
        file: PathBuf,
    },
    /// A text that is no serial number of ours.
    #[error("a serial number has 32 hexadecimal digits: copy it from the list of certificates")]
    Serial,
    /// No name, or one that is neither a DNS name nor an IP address.
    #[error(
        "a server certificate needs DNS names or IP addresses, without wildcards, ports or a final dot: name at least one"
    )]
    ServerName,
    /// The cryptography refused.
    #[error("could not make the key or certificate: {0}")]
    Signing(#[from] rcgen::Error),
    /// A number of seconds that is no date a certificate can hold.
    #[error("the time is outside the years 1970 to 9999: check the clock")]
    Time,
    /// A serial number that the ledger does not know.
    #[error(
        "no certificate {serial} was issued here: copy the serial number from the list of certificates, or name the certificate itself"
    )]
    UnknownSerial {
        /// Serial number, 32 hexadecimal digits.
        serial: String,
    },
}

impl CertsError {
    /// Wraps what the file system said with the file it was about.
    pub(crate) fn io(doing: &'static str, file: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, file: file.to_owned(), source }
    }

    /// Says which key file it was.
    pub(crate) fn about(self, file: &Path) -> Self {
        match self {
            Self::Key { what } => Self::Damaged { file: file.to_owned(), what },
            other => other,
        }
    }
}
