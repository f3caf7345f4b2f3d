//! `[witness]`, checked.

use std::path::{Path, PathBuf};

use tsunagi_core::checkpoint::Verifier;
use tsunagi_core::id::ParticipantId;

use super::raw::RawWitness;
use super::{ConfigFault, fault};

/// What this hub is a witness of.
#[derive(Debug, Clone)]
pub struct WitnessConfig {
    /// The name that verifiers know the witness by.
    pub name: String,
    /// The seed that signs cosignatures.
    pub key_file: PathBuf,
    /// The logs.
    pub logs: Vec<WitnessedLog>,
}

/// A log of somebody else.
#[derive(Debug, Clone)]
pub struct WitnessedLog {
    /// A name that no other log has: two hubs may give theirs the same origin, but not the same key.
    pub name: String,
    /// The first line of its checkpoints.
    pub origin: String,
    /// The key that signs them.
    pub key: Verifier,
    /// Who may bring them.
    pub participant: ParticipantId,
}

impl WitnessConfig {
    /// None where no name is given.
    pub(super) fn check(raw: &RawWitness, folder: &Path, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        if raw.name.is_empty() {
            if !raw.logs.is_empty() {
                faults.push(fault("witness.name", "is missing, and there are logs to be witnessed"));
            }
            return None;
        }
        if raw.name.contains(|c: char| c.is_whitespace() || c == '+') {
            faults.push(fault("witness.name", "has a space or a plus sign in it"));
        }
        let mut logs: Vec<WitnessedLog> = Vec::new();
        for log in &raw.logs {
            let (key, participant) = (Verifier::parse(&log.key), ParticipantId::parse(&log.participant));
            let (Ok(key), Ok(participant)) = (key, participant) else {
                let what = format!("{}: needs a key as `tsunagi audit key` prints it, and a participant", log.origin);
                faults.push(fault("witness.logs", what));
                continue;
            };
            if logs.iter().any(|known| known.origin == log.origin && known.participant == participant) {
                faults.push(fault("witness.logs", format!("{} is listed twice for {participant}", log.origin)));
            }
            let name = format!("{} {}", log.origin, log.key.trim());
            logs.push(WitnessedLog { name, origin: log.origin.clone(), key, participant });
        }
        Some(Self { name: raw.name.clone(), key_file: folder.join(&raw.key_file), logs })
    }
}
