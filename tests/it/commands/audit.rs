//! What anybody can check without the hub: exports, proofs and checkpoints, on a machine with nothing but the public key.

use std::path::Path;
use std::process::Command;

use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::id::{ParticipantId, TenantId};
use tsunagi_core::merkle::Frontier;
use tsunagi_gateway::gateway::{open_signer, open_store};
use tsunagi_gateway::sealing::origin;
use tsunagi_store::{Checkpoint, Note};
use tsunagi_tests::process::{KeptHub, config_of};

use super::{en, ja};

/// A folder with an export of Oita's log and the hub's public key, and with no hub.
fn exported(hub: &Path) -> tempfile::TempDir {
    let elsewhere = tempfile::tempdir().unwrap();
    let at = elsewhere.path();
    en(hub, &format!("audit export --tenant oita {}", at.join("oita.jsonl").display())).ended(0);
    std::fs::write(at.join("hub.key"), en(hub, "audit key").ended(0).out()).unwrap();
    elsewhere
}

/// Adds events that `by` has caused to Oita's log, one checkpoint for all of them; gives the new size.
fn grow(hub: &Path, by: &str, count: i64) -> u64 {
    let config = config_of(hub, &[]);
    let signer = open_signer(&config).unwrap();
    let oita: TenantId = "oita".parse().unwrap();
    let agent = Agent { participant: ParticipantId::parse(by).ok(), ..Agent::default() };
    let event = |n: i64| {
        let at = jiff::Timestamp::from_second(1_900_000_000 + n).unwrap();
        AuditEvent::new(at, Action::ExchangeRefused, EventOutcome::Denied, agent.clone())
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = open_store(&config).await.unwrap();
        let events = (0..count).map(event).collect();
        store.note(&oita, Note { events, rests_on: vec![], directive: None }).await.unwrap();
        let unsealed = store.unsealed(&oita, 100_000).await.unwrap();
        let mut edge = Frontier::from_parts(unsealed.sealed, unsealed.frontier).unwrap();
        unsealed.leaves.into_iter().for_each(|leaf| edge.push(leaf));
        let checkpoint = Checkpoint {
            size: edge.size(),
            root: edge.root(),
            frontier: edge.hashes().to_vec(),
            note: signer.sign(&origin(&oita), edge.size(), &edge.root()),
            sealed_at: event(count).at,
        };
        store.append_seal(&oita, checkpoint).await.unwrap();
        edge.size()
    })
}

#[test]
fn an_export_is_verified_without_a_hub_and_every_change_names_its_leaf() {
    let kept = KeptHub::shared();
    let elsewhere = exported(&kept.path());
    let at = elsewhere.path();
    let verify = "audit verify --export oita.jsonl --key hub.key";
    let whole = std::fs::read_to_string(at.join("oita.jsonl")).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let verified = en(at, &format!("{verify} --json")).ended(0).json();
    assert_eq!(verified["leaves"].as_u64().unwrap(), lines.len() as u64 - 1);
    assert_eq!(verified["checkpoints"][0]["origin"], "tsunagi/oita");
    assert!(en(at, verify).ended(0).out().contains("verified") && ja(at, verify).ended(0).out().contains("検証済"));

    // Line n + 1 is leaf n.
    let changed = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut lines);
        std::fs::write(at.join("oita.jsonl"), lines.join("\n") + "\n").unwrap();
        (en(at, verify).ended(1).err(), ja(at, verify).ended(1).err())
    };
    let (said, in_japanese) = changed(&|lines| lines[6] = lines[6].replacen("Record", "Becord", 1));
    assert!(said.contains("leaf 5 is not what") && in_japanese.contains("葉 5"), "{said}");
    let (said, _) = changed(&|lines| {
        // The hash is made to fit again; the proof is not.
        let (event, line) = (serde_json::from_str::<serde_json::Value>(&lines[6]).unwrap(), &mut lines[6]);
        let mut other = event.clone();
        let text = event["event"].as_str().unwrap().replacen("2", "3", 1);
        other["hash"] = hex::encode(tsunagi_core::merkle::leaf_hash(text.as_bytes())).into();
        other["event"] = text.into();
        *line = other.to_string();
    });
    assert!(said.contains("leaf 5 is not what"), "{said}");
    for (change, words) in [
        (&(|lines: &mut Vec<String>| drop(lines.remove(6))) as &dyn Fn(&mut Vec<String>), "leaf 5 was removed"),
        (&|lines| drop(lines.pop()), &format!("leaf {} was removed", lines.len() - 2)),
        (&|lines| lines.insert(6, lines[3].clone()), "leaf 2 was added"),
        (&|lines| lines.push(lines[3].clone()), "leaf 2 was added"),
        (&|lines| lines.swap(6, 8), "leaf 7 stands where leaf 5 belongs"),
        (&|lines| lines[6] = lines[6].replacen("\"leaf\":5", "\"leaf\":6", 1), "leaf 6 is not what"),
        (&|lines| lines[0] = lines[0].replacen("tsunagi/oita", "tsunagi/aoi", 1), "does not fit its checkpoint"),
        (&|lines| lines[0] = lines[0].replacen("tsunagi/oita\\n", "tsunagi/aoi\\n", 1), "not believed"),
    ] {
        let (said, _) = changed(change);
        assert!(said.contains(words), "{words}: {said}");
    }
    std::fs::write(at.join("oita.jsonl"), &whole).unwrap();

    // A part of the log stands as well as the whole.
    en(&kept.path(), &format!("audit export --tenant oita --from 4 --to 9 {}", at.join("part.jsonl").display()))
        .ended(0);
    let part = en(at, "audit verify --export part.jsonl --key hub.key --json").ended(0).json();
    assert_eq!(part["leaves"], 5);
    for wrong in ["--from 9 --to 9", "--to 1000000"] {
        en(&kept.path(), &format!("audit export --tenant oita {wrong} {}", at.join("none").display())).ended(64);
    }
    en(&kept.path(), &format!("audit export --tenant oita {}", at.join("part.jsonl").display())).ended(1);
    // Another hub's key, and what is none.
    let other =
        tsunagi_core::checkpoint::CheckpointSigner::new(tsunagi_core::sensitive::Sensitive::new([3; 32]), "tsunagi");
    std::fs::write(at.join("other.key"), other.unwrap().verifier_key()).unwrap();
    let said = en(at, "audit verify --export oita.jsonl --key other.key").ended(1).err();
    assert!(said.contains("not believed"), "{said}");
    en(at, "audit verify --export oita.jsonl --key oita.jsonl").ended(65);
    en(at, "audit verify --export hub.key --key hub.key").ended(65);
    en(at, "audit verify --export oita.jsonl").ended(64);
}

#[test]
fn a_log_that_was_forked_or_cut_is_found_out() {
    let kept = KeptHub::shared();
    let (one, other) = (kept.copy(), kept.copy());
    let (one, other) = (one.path(), other.path());
    let elsewhere = exported(one);
    let at = elsewhere.path();
    let export = |hub: &Path, name: &str| {
        en(hub, &format!("audit export --tenant oita {}", at.join(name).display())).ended(0);
    };
    std::fs::rename(at.join("oita.jsonl"), at.join("before.jsonl")).unwrap();
    let before = std::fs::read_to_string(at.join("before.jsonl")).unwrap().lines().count() as u64 - 1;
    // A backup was put back in place, and the log went on from there: with the same key, in another way.
    let size = grow(one, "city-oita", 3);
    assert_eq!(grow(other, "city-hakodate", 3), size);
    export(one, "one.jsonl");
    export(other, "other.jsonl");
    let newest = grow(other, "city-hakodate", 2);
    export(other, "newest.jsonl");
    let verify = |file: &str, earlier: &str| format!("audit verify --export {file} --key hub.key --earlier {earlier}");
    for (file, earlier) in [
        ("one.jsonl", "before.jsonl"),
        ("other.jsonl", "before.jsonl"),
        ("newest.jsonl", "other.jsonl"),
        ("one.jsonl", "one.jsonl"),
    ] {
        en(at, &verify(file, earlier)).ended(0);
    }
    for (file, earlier) in [("other.jsonl", "one.jsonl"), ("one.jsonl", "other.jsonl"), ("newest.jsonl", "one.jsonl")] {
        let said = en(at, &verify(file, earlier)).ended(1).err();
        assert!(said.contains(&format!("from leaf {before} on")), "{file} after {earlier}: {said}");
        assert!(ja(at, &verify(file, earlier)).ended(1).err().contains("枝分かれ"));
    }
    assert!(en(at, &verify("before.jsonl", "one.jsonl")).ended(1).err().contains("cut"));

    // The same with proofs of growth, and with single leaves.
    let says = |hub: &Path, leaf: &str, name: &str| {
        std::fs::write(at.join(name), en(hub, &format!("audit proof {leaf}")).ended(0).out()).unwrap();
    };
    says(other, &format!("oita/{size}..{newest}"), "growth");
    says(one, "oita/2", "leaf-of-one");
    says(other, "oita/2", "leaf-of-other");
    says(one, &format!("oita/{before}"), "new-of-one");
    says(other, &format!("oita/{before}"), "new-of-other");
    en(at, &verify("growth", "other.jsonl")).ended(0);
    assert!(en(at, &verify("growth", "one.jsonl")).ended(1).err().contains("forked"));
    assert!(en(at, &verify("growth", "before.jsonl")).ended(1).err().contains("do not tell"));
    // Where two files do not tell, what the answer asks for does. A forked log could not give a proof of growth.
    std::fs::write(at.join("checkpoint-of-one"), checkpoint_of(&at.join("one.jsonl"))).unwrap();
    std::fs::write(at.join("checkpoint-before"), checkpoint_of(&at.join("before.jsonl"))).unwrap();
    for earlier in ["checkpoint-of-one", "checkpoint-before"] {
        let said = en(at, &verify("leaf-of-other", earlier)).ended(1).err();
        assert!(said.contains("`tsunagi audit export --tenant oita FILE`"), "{said}");
        assert!(ja(at, &verify("leaf-of-other", earlier)).ended(1).err().contains("audit export --tenant oita FILE"));
    }
    assert!(en(at, &verify("newest.jsonl", "checkpoint-of-one")).ended(1).err().contains("forked"));
    en(at, &verify("newest.jsonl", "checkpoint-before")).ended(0);
    en(at, &verify("growth", "leaf-of-other")).ended(0);
    // A proof of growth is held against where it grew from, beside it or from before; alone it proves nothing.
    let grown = en(other, &format!("audit proof oita/{size}..{newest} --json")).ended(0).json();
    let says_grown = |old: &str| {
        let told = serde_json::json!({ "old_checkpoint": old, "proof": grown["proof"] });
        std::fs::write(at.join("grown"), told.to_string()).unwrap();
        en(at, "audit verify --export grown --key hub.key").code
    };
    assert_eq!(says_grown(grown["old_checkpoint"].as_str().unwrap()), 0);
    assert_eq!(says_grown(&checkpoint_of(&at.join("one.jsonl"))), 1, "of the same size, and another log");
    assert_eq!(says_grown(&checkpoint_of(&at.join("before.jsonl"))), 1, "of another size");
    en(at, "audit verify --export growth --key hub.key").ended(65);
    let said = en(at, &verify("new-of-other", "new-of-one")).ended(1).err();
    assert!(said.contains(&format!("leaf {before} of tsunagi/oita is another")), "{said}");
    assert!(en(one, &format!("audit proof oita/{size}..{newest}")).ended(1).err().contains("no checkpoint"));

    // By another program, which knows nothing of this one.
    let has = |program: &str, argument: &str| Command::new(program).arg(argument).output().is_ok();
    if !has("python3", "--version") || !has("openssl", "version") {
        println!("not run: the proofs by another program (python3 or openssl is missing)");
        return;
    }
    let python = |arguments: &[&str]| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/verify_proof.py");
        let ran = Command::new("python3").arg(script).args(arguments).current_dir(at).output().unwrap();
        (
            ran.status.success(),
            String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr),
        )
    };
    let (holds, said) = python(&["hub.key", "leaf-of-one"]);
    assert!(holds && said.starts_with(&format!("tsunagi/oita {size}: leaf 2 ")), "{said}");
    let (holds, said) = python(&["hub.key", "growth", "leaf-of-other"]);
    assert!(!holds && said.contains("another one"), "that leaf's checkpoint is of the newest size: {said}");
    says(one, &format!("oita/{before}..{size}"), "growth-of-one");
    std::fs::write(at.join("checkpoint"), checkpoint_of(&at.join("before.jsonl"))).unwrap();
    let (holds, said) = python(&["hub.key", "growth-of-one", "checkpoint"]);
    assert!(holds && said.contains(&format!("goes on from {before}")), "{said}");
    std::fs::write(at.join("checkpoint"), checkpoint_of(&at.join("one.jsonl"))).unwrap();
    let (holds, said) = python(&["hub.key", "growth", "checkpoint"]);
    assert!(!holds && said.contains("does not go on"), "{said}");
    let text = std::fs::read_to_string(at.join("leaf-of-one")).unwrap();
    for (from, to) in [("index 2", "index 3"), ("extra ", "extra A"), ("tsunagi/oita", "tsunagi/aoi")] {
        std::fs::write(at.join("changed"), text.replacen(from, to, 1)).unwrap();
        assert!(!python(&["hub.key", "changed"]).0, "{to}");
        assert_ne!(en(at, "audit verify --export changed --key hub.key").code, 0, "{to}");
    }
}

fn checkpoint_of(export: &Path) -> String {
    let text = std::fs::read_to_string(export).unwrap();
    let head: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    head["checkpoint"].as_str().unwrap().to_owned()
}

#[test]
fn a_leaf_is_proved_by_its_place_or_its_hash() {
    let kept = KeptHub::shared();
    let hub = kept.path();
    let by_place = en(&hub, "audit proof oita/5 --json").ended(0).json();
    let hash = by_place["hash"].as_str().unwrap();
    assert_eq!(en(&hub, &format!("audit proof {hash} --json")).ended(0).json(), by_place);
    assert_eq!(by_place["origin"], "tsunagi/oita");
    let shown = en(&hub, "audit show --tenant oita --from 5 --limit 1 --json").ended(0).json();
    assert_eq!(shown[0]["hash"], hash);
    assert_eq!(en(&hub, "audit proof oita/5").ended(0).out(), by_place["proof"].as_str().unwrap());
    assert!(en(&hub, "audit proof oita/100000").ended(1).err().contains("no such leaf"));
    assert!(en(&hub, &format!("audit proof {}", "0".repeat(64))).ended(1).err().contains("no such leaf"));
    en(&hub, "audit proof five").ended(64);
}
