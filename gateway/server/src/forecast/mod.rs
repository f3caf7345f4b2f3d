//! Who goes dark on which day: every certificate, authority and revocation list that ends, and what ends with it.
//!
//! [`forecast`] is pure: it is handed [`Facts`] and a moment. [`gather`] reads the facts from files, ledger and registry;
//! [`watch`] looks at them while the gateway runs, for metrics, `/readyz` and the log.

pub mod gather;
#[cfg(test)]
mod tests;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use tsunagi_certs::{LedgerEntry, Usage};
use tsunagi_core::id::{ChannelId, ParticipantId};
use tsunagi_core::registry::{Channel, Mode, Participant, Registry};

use crate::clock::date_in_japan;

/// What ends. The words are those of JSON and of the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The certificate that the hub pushes with.
    Client,
    /// A revocation list; from then on every handshake is refused.
    Crl,
    /// A CA that destinations' servers stand under.
    DestinationCa,
    /// A foreign CA that participants stand under.
    ForeignCa,
    /// An issuing authority of the hub.
    IssuingCa,
    /// The last certificate of a participant; among files, one that is known by its fingerprint.
    Participant,
    /// The trust anchor of the hub's CA.
    RootCa,
    /// The certificate of the edge.
    Server,
}

impl What {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Crl => "crl",
            Self::DestinationCa => "destination_ca",
            Self::ForeignCa => "foreign_ca",
            Self::IssuingCa => "issuing_ca",
            Self::Participant => "participant",
            Self::RootCa => "root_ca",
            Self::Server => "server",
        }
    }
}

/// What the files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFact {
    /// What ends.
    pub what: What,
    /// Where it was read, and for one of several what it is called.
    pub name: String,
    /// Its last second. `None` if the file could not be read.
    pub ends: Option<Timestamp>,
    /// SHA-256 of the certificate, 64 lower-case hexadecimal digits; none for lists.
    pub fingerprint: Option<String>,
}

/// All that a forecast rests on.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What the hub's CA issued.
    pub ledger: Vec<LedgerEntry>,
    /// Certificates, authorities and lists that the configuration names.
    pub files: Vec<FileFact>,
    /// Participants and channels.
    pub registry: Registry,
    /// Deliveries that wait, by channel.
    pub pending: BTreeMap<ChannelId, u64>,
}

/// How a line stands at the moment that was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has ended already.
    Ended,
    /// It will end.
    Ends,
    /// Registered, and there is no certificate that holds.
    None,
    /// Known by its fingerprint alone, or from a file that cannot be read.
    Unknown,
}

/// One line of the forecast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What ends.
    pub what: What,
    /// Whose it is, or in which file.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// Its last second; of a participant the last second of its last certificate.
    pub ends: Option<Timestamp>,
    /// The day of that, in Japan.
    pub day: Option<Date>,
    /// Whole days until then; negative once it is over.
    pub days_left: Option<i64>,
    /// The channels that go dark with it.
    pub channels: Vec<ChannelId>,
    /// The deliveries that wait on those channels now.
    pub pending_deliveries: u64,
}

impl Line {
    /// True if it ends within so many days of the moment that was asked about, or has ended.
    pub fn is_within(&self, days: u32) -> bool {
        self.days_left.is_some_and(|left| left < i64::from(days))
    }
}

/// The lines, the first to end first; what has no date comes last.
pub fn forecast(facts: &Facts, as_of: Timestamp) -> Vec<Line> {
    let own_lines = facts.files.iter().filter(|file| file.what != What::Participant);
    let mut lines: Vec<Line> =
        own_lines.map(|file| line(facts, as_of, file.what, file.name.clone(), of_file(file), None)).collect();
    lines.extend(participants(facts).into_iter().filter_map(|id| of_participant(facts, as_of, id)));
    lines.sort_by(|one, other| {
        let key = |line: &Line| (line.ends.is_none(), line.ends, line.what, line.name.clone());
        key(one).cmp(&key(other))
    });
    lines
}

/// When something ends, as far as that is known.
enum End {
    At(Timestamp),
    Never,
    Unknown,
}

fn of_file(file: &FileFact) -> End {
    file.ends.map_or(End::Unknown, End::At)
}

/// Everybody whom the ledger or the registry names.
fn participants(facts: &Facts) -> BTreeSet<String> {
    let issued = facts.ledger.iter().filter(|entry| entry.usage == Usage::Participant);
    let registered = facts.registry.participants().filter(|participant| !participant.suspended);
    let suspended: BTreeSet<&str> =
        facts.registry.participants().filter(|p| p.suspended).map(|p| p.id.as_str()).collect();
    issued
        .filter_map(|entry| entry.names.first().cloned())
        .filter(|id| !suspended.contains(id.as_str()))
        .chain(registered.map(|participant| participant.id.to_string()))
        .collect()
}

/// A participant goes dark when the last of its certificates ends. One that is known by its fingerprint alone may be the
/// last: then nobody can tell.
fn of_participant(facts: &Facts, as_of: Timestamp, id: String) -> Option<Line> {
    let parsed = ParticipantId::parse(&id).ok()?;
    let registered = facts.registry.participant(&parsed);
    let own = facts.ledger.iter().filter(|entry| {
        entry.usage == Usage::Participant && entry.names.first() == Some(&id) && entry.revoked_at.is_none()
    });
    let mut last = own.filter_map(|entry| Timestamp::from_second(entry.not_after).ok()).max();
    let mut is_unknown = false;
    for fingerprint in registered.map(|participant| participant.fingerprints.as_slice()).unwrap_or_default() {
        match known(facts, fingerprint) {
            Some(ends) => last = last.max(Some(ends)),
            None => is_unknown = true,
        }
    }
    let end = match last {
        _ if is_unknown => End::Unknown,
        Some(ends) => End::At(ends),
        None => End::Never,
    };
    // Whoever is in no registry and whose certificates are over is no partner any more.
    let is_gone = registered.is_none() && last.is_none_or(|ends| ends < as_of);
    (!is_gone).then(|| line(facts, as_of, What::Participant, id, end, registered.map(|participant| &**participant)))
}

/// The end of a certificate that is among the files, by its fingerprint.
fn known(facts: &Facts, fingerprint: &str) -> Option<Timestamp> {
    let same = |file: &&FileFact| file.fingerprint.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(fingerprint));
    facts.files.iter().find(same).and_then(|file| file.ends)
}

fn line(
    facts: &Facts,
    as_of: Timestamp,
    what: What,
    name: String,
    end: End,
    participant: Option<&Participant>,
) -> Line {
    let ends = match end {
        End::At(ends) => Some(ends),
        End::Never | End::Unknown => None,
    };
    let state = match end {
        End::At(ends) if ends < as_of => State::Ended,
        End::At(_) => State::Ends,
        End::Never => State::None,
        End::Unknown => State::Unknown,
    };
    // What is closed by then does not go dark.
    let on = date_in_japan(ends.unwrap_or(as_of).max(as_of));
    let is_hit = |channel: &&Arc<Channel>| {
        channel.until.is_none_or(|last| on <= last) && depends(facts, what, participant, channel)
    };
    let channels: Vec<ChannelId> = facts.registry.channels().filter(is_hit).map(|channel| channel.id.clone()).collect();
    let pending_deliveries = channels.iter().filter_map(|id| facts.pending.get(id)).sum();
    let days_left = ends.map(|ends| (ends.as_second() - as_of.as_second()).div_euclid(DAY));
    Line { what, name, state, ends, day: ends.map(date_in_japan), days_left, channels, pending_deliveries }
}

/// True if nothing passes on the channel once that has ended.
fn depends(facts: &Facts, what: What, participant: Option<&Participant>, channel: &Channel) -> bool {
    let is_pushed = channel.mode == Mode::Deliver && channel.endpoint.is_some();
    let caller = facts.registry.participant(&channel.participant);
    match what {
        What::Client | What::DestinationCa => is_pushed,
        // What is pushed goes out from us: their client certificate and our server's have no part in it.
        _ if is_pushed => false,
        What::Crl | What::Server => true,
        What::ForeignCa => caller.is_some_and(|caller| !caller.fingerprints.is_empty()),
        What::IssuingCa | What::RootCa => facts.ledger.iter().any(|entry| {
            entry.usage == Usage::Participant
                && entry.names.first().map(String::as_str) == Some(channel.participant.as_str())
        }),
        What::Participant => participant.is_some_and(|participant| participant.id == channel.participant),
    }
}

/// Seconds of a day.
const DAY: i64 = 86_400;
