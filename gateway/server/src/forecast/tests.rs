use tsunagi_core::registry::RegistryEntries;

use super::watch::{Expiring, ExpiryState};
use super::*;

/// 2027-01-15T08:00:00Z, 17:00 in Japan.
const NOW: i64 = 1_800_000_000;

const REGISTRY: &str = r#"
[[tenant]]
id = "oita"
municipality = "442011"
name = "Oita"

[[participant]]
id = "hospital-a"
role = "hospital"
name = "A"

[[participant]]
id = "hospital-f"
role = "hospital"
name = "F"
fingerprints = ["FF00"]

[[participant]]
id = "oita-city"
role = "municipality"
name = "Oita city"
tenant = "oita"

[[participant]]
id = "left"
role = "hospital"
name = "Left"
suspended = true

[[endpoint]]
id = "oita-server"
participant = "oita-city"
url = "https://oita.example/in"

[[channel]]
id = "a-submit"
participant = "hospital-a"
tenant = "oita"
kind = "vaccination"
mode = "submit"
layout = "fhir_r4/vaccination"
from = "2026-01-01"

[[channel]]
id = "a-ended"
participant = "hospital-a"
tenant = "oita"
kind = "vaccination"
mode = "lookup"
layout = "fhir_r4/vaccination"
from = "2026-01-01"
until = "2027-01-20"

[[channel]]
id = "f-submit"
participant = "hospital-f"
tenant = "oita"
kind = "vaccination"
mode = "submit"
layout = "fhir_r4/vaccination"
from = "2026-01-01"

[[channel]]
id = "oita-mailbox"
participant = "oita-city"
tenant = "oita"
kind = "vaccination"
mode = "deliver"
layout = "municipal_csv/vaccination"
from = "2026-01-01"

[[channel]]
id = "oita-push"
participant = "oita-city"
tenant = "oita"
kind = "vaccination"
mode = "deliver"
layout = "municipal_csv/vaccination"
endpoint = "oita-server"
from = "2026-01-01"
"#;

fn at(days: i64) -> Timestamp {
    Timestamp::from_second(NOW + days * DAY).unwrap()
}

fn issued(id: &str, days: i64) -> LedgerEntry {
    LedgerEntry {
        serial: format!("{id}{days}"),
        usage: Usage::Participant,
        names: vec![id.to_owned()],
        fingerprint_sha256: String::new(),
        not_before: NOW - 100 * DAY,
        not_after: NOW + days * DAY,
        issued_at: NOW - 100 * DAY,
        key_from_request: false,
        renews: None,
        revoked_at: None,
        reason: None,
    }
}

fn revoked(id: &str, days: i64) -> LedgerEntry {
    LedgerEntry { revoked_at: Some(NOW), reason: Some(tsunagi_certs::Reason::Superseded), ..issued(id, days) }
}

fn file(what: What, days: i64) -> FileFact {
    FileFact { what, name: what.as_str().to_owned(), ends: Some(at(days)), fingerprint: None }
}

fn facts(ledger: Vec<LedgerEntry>, files: Vec<FileFact>) -> Facts {
    let entries: RegistryEntries = toml::from_str(REGISTRY).unwrap();
    let channel = |id| ChannelId::parse(id).unwrap();
    Facts {
        ledger,
        files,
        registry: Registry::parse(entries).unwrap(),
        pending: [(channel("oita-mailbox"), 3), (channel("oita-push"), 5)].into(),
    }
}

fn of<'a>(lines: &'a [Line], name: &str) -> &'a Line {
    lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("no line of {name}"))
}

fn channels(line: &Line) -> Vec<&str> {
    line.channels.iter().map(ChannelId::as_str).collect()
}

#[test]
fn a_participant_goes_dark_with_its_last_certificate() {
    let table: [(&str, Vec<LedgerEntry>, State, Option<i64>); 6] = [
        ("one", vec![issued("hospital-a", 10)], State::Ends, Some(10)),
        ("two overlap", vec![issued("hospital-a", 10), issued("hospital-a", 200)], State::Ends, Some(200)),
        ("the later one is revoked", vec![issued("hospital-a", 10), revoked("hospital-a", 200)], State::Ends, Some(10)),
        ("over", vec![issued("hospital-a", -1)], State::Ended, Some(-1)),
        ("all revoked", vec![revoked("hospital-a", 10)], State::None, None),
        ("never issued", vec![], State::None, None),
    ];
    for (case, ledger, state, days_left) in table {
        let lines = forecast(&facts(ledger, Vec::new()), at(0));
        let line = of(&lines, "hospital-a");
        assert_eq!((line.state, line.days_left), (state, days_left), "{case}");
    }
}

#[test]
fn a_fingerprint_alone_leaves_the_day_open_unless_its_certificate_is_at_hand() {
    let unknown = forecast(&facts(vec![issued("hospital-f", 10)], Vec::new()), at(0));
    assert_eq!((of(&unknown, "hospital-f").state, of(&unknown, "hospital-f").ends), (State::Unknown, None));
    assert_eq!(channels(of(&unknown, "hospital-f")), ["f-submit"]);
    let own = FileFact { fingerprint: Some("ff00".to_owned()), ..file(What::ForeignCa, 40) };
    let known = forecast(&facts(vec![issued("hospital-f", 10)], vec![own]), at(0));
    assert_eq!(of(&known, "hospital-f").days_left, Some(40));
}

#[test]
fn who_takes_no_part_any_more_is_left_out() {
    let ledger = vec![issued("left", 10), issued("gone", -1), issued("operator", 10)];
    let lines = forecast(&facts(ledger, Vec::new()), at(0));
    let names: Vec<_> = lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, ["operator", "hospital-a", "hospital-f", "oita-city"]);
}

#[test]
fn each_end_takes_its_own_channels_and_deliveries_along() {
    let inbound = ["a-submit", "f-submit", "oita-mailbox"];
    let table: [(What, &[&str], u64); 6] = [
        (What::Server, &inbound, 3),
        (What::Crl, &inbound, 3),
        (What::Client, &["oita-push"], 5),
        (What::DestinationCa, &["oita-push"], 5),
        (What::ForeignCa, &["f-submit"], 0),
        // Nobody but these two has a certificate of the hub.
        (What::RootCa, &["a-submit", "oita-mailbox"], 3),
    ];
    for (what, expected, pending) in table {
        let ledger = vec![issued("hospital-a", 100), issued("oita-city", 100)];
        let lines = forecast(&facts(ledger, vec![file(what, 20)]), at(0));
        let line = of(&lines, what.as_str());
        // a-ended is closed by then.
        assert_eq!((channels(line), line.pending_deliveries), (expected.to_vec(), pending), "{what:?}");
    }
    let lines = forecast(&facts(vec![issued("hospital-a", 3), issued("oita-city", 10)], Vec::new()), at(0));
    assert_eq!(channels(of(&lines, "hospital-a")), ["a-ended", "a-submit"]);
    assert_eq!(
        (channels(of(&lines, "oita-city")), of(&lines, "oita-city").pending_deliveries),
        (vec!["oita-mailbox"], 3)
    );
}

#[test]
fn the_day_is_japans_and_the_first_comes_first() {
    // 2027-01-16 15:30 UTC is the 17th in Japan.
    let late = NOW + DAY + 7 * 3600 + 1800;
    let mut entry = issued("operator", 0);
    entry.not_after = late;
    let lines = forecast(&facts(vec![issued("hospital-a", 9), entry], vec![file(What::Crl, 4)]), at(0));
    assert_eq!(of(&lines, "operator").day.unwrap().to_string(), "2027-01-17");
    let order: Vec<_> = lines.iter().filter(|line| line.ends.is_some()).map(|line| line.name.as_str()).collect();
    assert_eq!(order, ["operator", "crl", "hospital-a"]);
}

#[test]
fn the_window_is_open_at_its_far_end_and_holds_what_is_over() {
    let table = [(29, 30, true), (30, 30, false), (0, 1, true), (0, 0, false), (-1, 0, true), (-400, 30, true)];
    for (ends, within, expected) in table {
        let lines = forecast(&facts(vec![issued("hospital-a", ends)], Vec::new()), at(0));
        assert_eq!(of(&lines, "hospital-a").is_within(within), expected, "{ends} within {within}");
    }
}

#[test]
fn a_rehearsal_sees_what_will_have_ended() {
    let facts = facts(vec![issued("hospital-a", 10), issued("oita-city", 50)], Vec::new());
    let lines = forecast(&facts, at(20));
    assert_eq!((of(&lines, "hospital-a").state, of(&lines, "hospital-a").days_left), (State::Ended, Some(-10)));
    assert_eq!((of(&lines, "oita-city").state, of(&lines, "oita-city").days_left), (State::Ends, Some(30)));
}

#[test]
fn each_mark_is_warned_of_once_and_a_renewal_ends_it() {
    let state = ExpiryState::default();
    let warned = |now: i64, ends: i64| -> Vec<u32> {
        let lines = forecast(&facts(vec![issued("hospital-a", ends)], Vec::new()), at(now));
        state.update(&lines).into_iter().map(|(within, _)| within).collect()
    };
    let table: [(i64, &[u32]); 10] = [
        (0, &[]),
        (31, &[]),
        (32, &[30]),
        (33, &[]),
        (48, &[14]),
        (55, &[7]),
        (61, &[1]),
        (61, &[]),
        (62, &[0]),
        (63, &[]),
    ];
    for (now, expected) in table {
        assert_eq!(warned(now, 61), expected, "day {now}");
    }
    assert_eq!(state.expiring(), [Expiring { what: What::Participant, within_days: 0, count: 1 }]);
    assert_eq!(warned(64, 400), [0; 0]);
    assert_eq!(state.expiring(), []);
}

#[test]
fn a_list_is_warned_of_later_than_a_certificate() {
    let state = ExpiryState::default();
    for (now, expected) in [(0, &[][..]), (27, &[]), (28, &[3]), (30, &[1]), (32, &[0])] {
        let lines = forecast(&facts(Vec::new(), vec![file(What::Crl, 30)]), at(now));
        let warned: Vec<u32> = state.update(&lines).into_iter().map(|(within, _)| within).collect();
        assert_eq!(warned, expected, "day {now}");
    }
}
