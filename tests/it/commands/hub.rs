//! Commands that make, check and change a hub.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;

use super::{en, ja};
use tsunagi_tests::process::{KeptHub, copy_folder, run};

/// Every file below a folder with its bytes.
fn everything(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = tsunagi_tests::files_below(folder)
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn init_makes_a_hub_that_checks_and_never_overwrites_one() {
    let folder = tempfile::tempdir().unwrap();
    let hub = folder.path().join("hub");
    assert!(en(folder.path(), "init hub --name hub.example.jp").ended(0).out().contains("hub"));
    for file in ["tsunagi.toml", "ca/root.pem", "certs/server.pem", "certs/operator.pem", "keys/master.key"] {
        assert!(hub.join(file).is_file(), "{file}");
    }
    for key in tsunagi_tests::files_below(&hub).into_iter().filter(|path| path.extension().is_some_and(|e| e == "key"))
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} can be read by others", key.display());
    }
    en(&hub, "check").ended(0);
    let before = everything(&hub);
    let refused = en(folder.path(), "init hub").ended(1);
    assert!(refused.err().contains("exists already"), "{}", refused.err());
    assert!(ja(folder.path(), "init hub").ended(1).err().contains("tsunagi.toml"));
    assert_eq!(everything(&hub), before, "a hub was overwritten");
    // A part of a hub is as good as one.
    std::fs::remove_file(hub.join("tsunagi.toml")).unwrap();
    let before = everything(&hub);
    en(folder.path(), "init hub").ended(1);
    assert_eq!(everything(&hub), before);
    // So is a store, which another master key could not read.
    let other = folder.path().join("other");
    std::fs::create_dir_all(other.join("data")).unwrap();
    std::fs::write(other.join("data/tsunagi.db"), "").unwrap();
    assert!(en(folder.path(), "init other").ended(1).err().contains("tsunagi.db"));
    assert!(!other.join("keys").exists());
}

#[test]
fn the_demo_leaves_a_hub_alone_that_is_there_and_prints_its_steps_as_json() {
    let kept = KeptHub::shared();
    let before = everything(&kept.path());
    let folder = kept.path();
    let again = run(folder.parent().unwrap(), &[], &["demo", "--keep", "hub"]);
    assert!([1, 64].contains(&again.code), "{}", again.code);
    assert_eq!(everything(&kept.path()), before);
    let elsewhere = tempfile::tempdir().unwrap();
    let played = en(elsewhere.path(), "demo --json").ended(0).json();
    assert!(played["steps"].as_array().unwrap().len() > 40, "{played}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0, "a demo that is not kept leaves something");
}

#[test]
fn check_prints_all_faults_of_configuration_and_tables_at_once_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir_all(folder.join("tables/kinds")).unwrap();
    std::fs::create_dir_all(folder.join("tables/tables/municipal_csv")).unwrap();
    std::fs::write(folder.join("tables/kinds/frog.toml"), "version = 1\nkind = \"toad\"\n").unwrap();
    std::fs::write(folder.join("tables/tables/municipal_csv/newt.toml"), "version = 1\nkind = [\n").unwrap();
    let config = "version = 1\n[edge]\nlisten = \"nowhere\"\nrate_burst = 0\n[log]\nformat = \"xml\"\n[tables]\nfolder = \"tables\"\n";
    std::fs::write(folder.join("tsunagi.toml"), config).unwrap();
    let before = everything(folder);
    let of_config = ["edge.listen", "edge.rate_burst", "log.format"];
    let of_tables = ["kinds/frog.toml", "municipal_csv/newt.toml"];
    let all = en(folder, "check").ended(64).out();
    let json = en(folder, "check --json").ended(64).json();
    for place in of_config.iter().chain(&of_tables) {
        assert!(all.contains(place), "{place} is not in:\n{all}");
        let faults = json["faults"].as_array().unwrap();
        assert!(faults.iter().any(|fault| fault["place"].as_str().unwrap().contains(place)), "{place}: {json}");
    }
    // The same checks stand before a start: no port is bound, no store made.
    let refused = en(folder, "serve").ended(64).err();
    assert!(of_config.iter().all(|place| refused.contains(place)), "{refused}");
    // Words in both languages.
    let japanese = ja(folder, "check").ended(64).out();
    assert!(japanese.contains("kinds/frog.toml") && japanese != all, "{japanese}");
    assert_eq!(everything(folder), before, "a check touched something");

    // Only the tables are at fault.
    std::fs::write(folder.join("tsunagi.toml"), "version = 1\n[tables]\nfolder = \"tables\"\n").unwrap();
    let faults = en(folder, "check").ended(64).out();
    assert!(of_tables.iter().all(|place| faults.contains(place)), "{faults}");
    let faults = en(folder, "mappings check").ended(64).out();
    assert!(of_tables.iter().all(|place| faults.contains(place)), "{faults}");
    en(folder, "kinds list").ended(64);
}

#[test]
fn check_finds_what_a_running_hub_would_not_take_over() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    en(hub, "check").ended(0);
    let (list, other) = (hub.join("ca/crl.pem"), hub.join("ca/root-crl.pem"));
    let sound = std::fs::read_to_string(&list).unwrap();
    let mut forged =
        rustls::pki_types::CertificateRevocationListDer::from_pem_slice(sound.as_bytes()).unwrap().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    std::fs::write(&list, forged).unwrap();
    assert!(en(hub, "check").ended(64).out().contains("crl.pem"), "a forged list");
    std::fs::write(&list, sound).unwrap();
    std::fs::remove_file(&other).unwrap();
    assert!(en(hub, "check").ended(64).out().contains("root-crl.pem"), "no list");
}

#[test]
fn a_setting_of_the_environment_is_checked_like_one_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let set = |name, value| run(folder.path(), &[("LANG", "C"), (name, value)], &["check"]);
    set("TSUNAGI__EDGE__RATE_BURST", "20").ended(0);
    assert!(set("TSUNAGI__EDGE__RATE_BURST", "0").ended(64).out().contains("edge.rate_burst"));
    assert!(set("TSUNAGI__EDGE__RATE_BURTS", "20").ended(64).out().contains("rate_burts"));
    assert!(set("TSUNAGI__WEDGE__LISTEN", "x").ended(64).out().contains("TSUNAGI__WEDGE__LISTEN"));
    std::fs::write(folder.path().join("tsunagi.toml"), "version = 2\n").unwrap();
    assert!(en(folder.path(), "check").ended(64).out().contains("version"));
    std::fs::write(folder.path().join("tsunagi.toml"), "[edge]\n").unwrap();
    assert!(en(folder.path(), "check").ended(64).out().contains("version = 1"));
}

#[test]
fn registry_entries_are_imported_whole_or_not_at_all() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    let before = en(hub, "registry list --json").ended(0).json();
    assert_eq!(before["tenant"].as_array().unwrap().len(), 2);
    let good = "[[participant]]\nid = \"hospital-new\"\nrole = \"hospital\"\nname = \"新しい病院\"\n";
    std::fs::write(hub.join("good.toml"), good).unwrap();
    let tried = en(hub, "registry import good.toml --dry-run --json").ended(0).json();
    assert_eq!((tried["dry_run"].as_bool(), tried["participants"].as_u64()), (Some(true), Some(1)));
    assert_eq!(en(hub, "registry list --json").ended(0).json(), before, "a dry run changed the registry");

    // A fault in one entry keeps all of the file out, and every fault is told.
    let bad = format!(
        "{good}[[channel]]\nid = \"c\"\nparticipant = \"nobody\"\ntenant = \"nowhere\"\nkind = \"vaccination\"\nmode = \"submit\"\nlayout = \"fhir_r4/no_such\"\nfrom = \"2026-01-01\"\n"
    );
    std::fs::write(hub.join("bad.toml"), bad).unwrap();
    for line in ["registry import bad.toml", "registry import bad.toml --dry-run"] {
        let said = en(hub, line).ended(65).err();
        assert!(["nobody", "nowhere", "fhir_r4/no_such"].iter().all(|word| said.contains(word)), "{said}");
    }
    std::fs::write(hub.join("broken.toml"), "[[participant]\n").unwrap();
    en(hub, "registry import broken.toml").ended(65);
    std::fs::write(
        hub.join("unknown.toml"),
        "[[participant]]\nid = \"x\"\nrole = \"hospital\"\nname = \"x\"\nnmae = 1\n",
    )
    .unwrap();
    assert!(en(hub, "registry import unknown.toml").ended(65).err().contains("nmae"));
    assert_eq!(en(hub, "registry list --json").ended(0).json(), before, "a bad file changed the registry");

    assert!(en(hub, "registry import good.toml").ended(0).out().contains("imported"));
    let shown = en(hub, "registry show hospital-new --json").ended(0).json();
    assert_eq!(shown["participant"]["name"], "新しい病院");
    assert!(ja(hub, "registry list").ended(0).out().contains("新しい病院"));
    en(hub, "registry show nobody").ended(64);
    let csv = "entry,id,role,name,suspended\nparticipant,hospital-new,hospital,改名病院,true\n";
    std::fs::write(hub.join("new.csv"), csv).unwrap();
    en(hub, "registry import new.csv").ended(0);
    let shown = en(hub, "registry show hospital-new --json").ended(0).json();
    assert_eq!(
        (shown["participant"]["name"].as_str(), shown["participant"]["suspended"].as_bool()),
        (Some("改名病院"), Some(true))
    );
    let log = en(hub, "audit show --tenant hub --json").ended(0).out();
    assert_eq!(log.matches("RegistryImported").count(), 3, "the demo's import and two of ours: {log}");
}

#[test]
fn what_needs_a_store_says_that_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    en(folder.path(), "init").ended(0);
    std::fs::remove_dir_all(folder.path().join("data")).unwrap();
    for line in ["exchanges list", "deliveries list", "registry list", "audit verify", "audit show --tenant hub"] {
        let said = en(folder.path(), line).ended(69).err();
        assert!(said.contains("tsunagi.db"), "{line}: {said}");
    }
    assert!(!folder.path().join("data/tsunagi.db").exists());
}

/// A hub is a folder: a copy of it elsewhere is the same hub.
#[test]
fn a_hub_may_be_moved() {
    let kept = KeptHub::shared();
    let elsewhere = tempfile::tempdir().unwrap();
    copy_folder(&kept.path(), &elsewhere.path().join("moved"));
    en(elsewhere.path(), "--config moved/tsunagi.toml audit verify").ended(0);
}
