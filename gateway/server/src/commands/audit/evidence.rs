//! What can be verified without a store: exports, proofs, receipts, checkpoints, and proofs that a log grew.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tsunagi_core::checkpoint::stated;
use tsunagi_core::merkle::Hash;
use tsunagi_core::tlog::{Growth, InclusionProof};

use crate::commands::{CommandFault, open_file, read_text};

/// The first line of an export.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportHead {
    /// The log.
    pub origin: String,
    /// The first leaf.
    pub from: u64,
    /// One past the last.
    pub to: u64,
    /// The signed note.
    pub checkpoint: String,
}

/// A line of an export.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportLine {
    /// Its index.
    pub leaf: u64,
    /// Its hash, in hexadecimal.
    pub hash: String,
    /// The event's bytes, which are what was hashed.
    pub event: String,
    /// Its inclusion proof under the head's checkpoint, in base64.
    pub proof: Vec<String>,
}

impl ExportLine {
    /// The line of a leaf.
    pub(super) fn of(leaf: u64, event: String, proof: &InclusionProof) -> Self {
        let hashes = proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
        Self { leaf, hash: hex::encode(proof.leaf), event, proof: hashes }
    }

    /// The hashes of the proof; `None` if one is none.
    pub(super) fn hashes(&self) -> Option<Vec<Hash>> {
        self.proof.iter().map(|text| STANDARD.decode(text).ok()?.try_into().ok()).collect()
    }
}

/// A file that proves something.
pub(super) enum Evidence {
    /// A checkpoint alone.
    Checkpoint(String),
    /// A log, or a part of it: to be read line by line.
    Export(ExportHead, PathBuf),
    /// That a log grew, and from which checkpoint on where that is beside it.
    Growth(Growth, Option<String>),
    /// Leaves, each with its checkpoint, and how many others there are without a proof.
    Leaves(Vec<Told>, u64),
}

/// A leaf that somebody was told of.
pub(super) struct Told {
    /// Its place, as it is told.
    pub leaf: String,
    /// Its proof; none if what is there is not one, or is of another leaf than the one told.
    pub proof: Option<InclusionProof>,
}

impl Evidence {
    /// Reads a file, whichever of these it is.
    pub(super) fn read(path: &Path) -> Result<Self, CommandFault> {
        let mut first = String::new();
        std::io::BufReader::new(open_file(path)?).read_line(&mut first).map_err(|error| unreadable(path, &error))?;
        if let Ok(head) = serde_json::from_str::<ExportHead>(&first) {
            return Ok(Self::Export(head, path.to_owned()));
        }
        let text = read_text(path)?;
        if let Ok(proof) = InclusionProof::parse(&text) {
            return Ok(Self::Leaves(vec![Told { leaf: proof.index.to_string(), proof: Some(proof) }], 0));
        }
        if let Ok(growth) = Growth::parse(&text) {
            return Ok(Self::Growth(growth, None));
        }
        if let Ok(json) = serde_json::from_str::<Value>(&text) {
            return receipt(&json)
                .ok_or_else(|| unreadable(path, &"no sealed leaf is in it; ask again a little later"));
        }
        match stated(&text) {
            Ok(_) => Ok(Self::Checkpoint(text)),
            Err(_) => Err(unreadable(path, &"neither an export, a proof, a receipt nor a checkpoint")),
        }
    }

    /// The lines of an export after its head.
    pub(super) fn lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>, CommandFault> {
        Ok(std::io::BufReader::new(open_file(path)?).lines().skip(1))
    }
}

/// The proofs in a receipt, in an access log, or in what `audit proof --json` prints.
fn receipt(json: &Value) -> Option<Evidence> {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    if let (Some(old), Some(growth)) = (text("old_checkpoint"), text("proof")) {
        return Growth::parse(growth).ok().map(|growth| Evidence::Growth(growth, Some(old.to_owned())));
    }
    let of = |name: &str| json.get(name).and_then(Value::as_array).into_iter().flatten();
    let told_with = of("rows").chain(of("deliveries")).filter_map(|one| one.get("audit"));
    // Each entry of an access log is about a leaf of its own; one that has none was taken out of it.
    let entries: Vec<&Value> = of("entries").map(|entry| entry.get("audit").unwrap_or(&Value::Null)).collect();
    let places: HashSet<String> =
        entries.iter().map(|audit| format!("{:?}/{:?}", audit.get("origin"), audit.get("leaf"))).collect();
    let is_twice = places.len() < entries.len();
    let audits = told_with.chain(entries.iter().copied()).chain(of("disclosures")).chain([json]);
    let (sealed, others): (Vec<_>, Vec<_>) = audits.partition(|audit| audit.get("proof").is_some() || audit.is_null());
    let unproved = others.iter().filter(|audit| audit.get("leaf").is_some()).count() as u64;
    let mut told: Vec<Told> = sealed.into_iter().map(told).collect();
    if is_twice {
        told.push(Told { leaf: "?".to_owned(), proof: None });
    }
    (!told.is_empty()).then_some(Evidence::Leaves(told, unproved))
}

/// One leaf of a receipt: what is told of it in words has to be what its proof has.
fn told(audit: &Value) -> Told {
    let text = |name: &str| audit.get(name).and_then(Value::as_str);
    let index = audit.get("leaf").and_then(Value::as_u64);
    let leaf = index.map_or_else(|| "?".to_owned(), |index| index.to_string());
    let proof = text("proof").and_then(|proof| InclusionProof::parse(proof).ok()).filter(|proof| {
        let origin = stated(&proof.checkpoint).ok().map(|(head, _)| head.origin);
        text("hash") == Some(hex::encode(proof.leaf).as_str())
            && index == Some(proof.index)
            && text("origin") == origin.as_deref()
    });
    Told { leaf, proof }
}

/// A file that cannot be read as evidence.
pub(super) fn unreadable(path: &Path, why: &impl std::fmt::Display) -> CommandFault {
    CommandFault::Refused(format!("{}: {why}", path.display()))
}
