//! What log and ledger know of certificates, from `tsunagi init` on.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tsunagi_tests::process::{binary, run};

use super::certs::secret;
use super::{en, ja};

/// A fresh hub.
fn hub() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    en(folder.path(), "init").ended(0);
    folder
}

fn fingerprint_of(pem: &Path) -> String {
    tsunagi_certs::fingerprint(&CertificateDer::pem_file_iter(pem).unwrap().next().unwrap().unwrap())
}

/// What the hub's log says about each certificate, by its fingerprint: action and reason, in order.
fn told(hub: &Path) -> BTreeMap<String, Vec<(String, String)>> {
    let log = en(hub, "audit show --tenant hub --limit 1000 --json").ended(0).json();
    let mut told: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for event in log.as_array().unwrap().iter().map(|leaf| &leaf["event"]) {
        let text = |pointer: &str| event.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        told.entry(text("/agent/certificate")).or_default().push((text("/action"), text("/reason")));
    }
    told
}

/// `until:` and the moment in which a listed certificate ends.
fn until(hub: &Path, serial: &str) -> String {
    let list = en(hub, "certs list --json").ended(0).json();
    let entry = list.as_array().unwrap().iter().find(|entry| entry["serial"] == serial).unwrap();
    format!("until:{}", jiff::Timestamp::from_second(entry["not_after"].as_i64().unwrap()).unwrap())
}

/// Serial number of the participants' CA.
fn issuer(hub: &Path) -> String {
    let log = told(hub);
    let [(_, reason)] = &log[&fingerprint_of(&hub.join("ca/issuing.pem"))][..] else { panic!("{log:?}") };
    reason.strip_prefix("serial:").and_then(|rest| rest.split(' ').next()).unwrap().to_owned()
}

#[test]
fn whatever_a_ca_signs_and_the_ca_itself_have_their_leaves() {
    let folder = hub();
    let hub = folder.path();
    let log = told(hub);
    for (file, role) in [("root", "ca:root"), ("issuing", "ca:participants"), ("server-issuing", "ca:servers")] {
        let [(action, reason)] = &log[&fingerprint_of(&hub.join(format!("ca/{file}.pem")))][..] else {
            panic!("{log:?}")
        };
        assert!(action == "CertificateIssued" && reason.contains(role) && reason.contains("until:20"), "{reason}");
    }
    let list = en(hub, "certs list --json").ended(0).json();
    for (name, entry) in ["server", "server-client", "operator"].into_iter().zip(list.as_array().unwrap()) {
        let serial = entry["serial"].as_str().unwrap();
        let expected = ("CertificateIssued".to_owned(), format!("serial:{serial} {}", until(hub, serial)));
        assert_eq!(log[&fingerprint_of(&hub.join(format!("certs/{name}.pem")))], [expected]);
    }
    // A second CA beside the first.
    let beside = [("TSUNAGI__CA__FOLDER", "ca-2")];
    run(hub, &beside, &["certs", "init"]).ended(0);
    assert_eq!(told(hub)[&fingerprint_of(&hub.join("ca-2/root.pem"))].len(), 1);

    let old = en(hub, "certs issue --participant hospital-new --out old --json").ended(0).json();
    let old = old["serial"].as_str().unwrap();
    let new = en(hub, &format!("certs renew {old} --out new --json")).ended(0).json();
    let new = new["serial"].as_str().unwrap();
    en(hub, &format!("certs revoke {old} --reason superseded")).ended(0);
    let log = told(hub);
    let of = |file: &str| log[&fingerprint_of(&hub.join(file))].clone();
    let (ends, said) = (until(hub, old), |action: &str, reason: String| (action.to_owned(), reason));
    assert_eq!(
        of("old/hospital-new.pem"),
        [
            said("CertificateIssued", format!("serial:{old} {ends}")),
            said("CertificateRevoked", format!("serial:{old} reason:superseded {ends} issuer:{}", issuer(hub)))
        ]
    );
    let renewed = said("CertificateRenewed", format!("serial:{new} renews:{old} {}", until(hub, new)));
    assert_eq!(of("new/hospital-new.pem"), [renewed]);
    en(hub, "audit verify").ended(0);
}

#[test]
fn a_ca_without_its_leaves_is_not_taken_for_one() {
    let folder = hub();
    let hub = folder.path();
    std::fs::rename(hub.join("keys/master.key"), hub.join("keys/away")).unwrap();
    assert_ne!(run(hub, &[("TSUNAGI__CA__FOLDER", "ca-2")], &["certs", "init"]).code, 0);
    assert!(!hub.join("ca-2").exists());
}

#[test]
fn a_certificate_that_the_ledger_lost_is_revoked_from_its_file() {
    let folder = hub();
    let hub = folder.path();
    let issued = en(hub, "certs issue --participant hospital-new --out made --json").ended(0).json();
    let serial = issued["serial"].as_str().unwrap();
    let ledger = hub.join("ca/ledger.jsonl");
    let whole = std::fs::read_to_string(&ledger).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    // Anywhere but at the end it shows.
    std::fs::write(&ledger, [&lines[..1], &lines[2..]].concat().concat()).unwrap();
    assert!(en(hub, "certs list").ended(1).err().contains("line 2"));
    std::fs::write(&ledger, lines[..lines.len() - 1].concat()).unwrap();
    assert!(en(hub, &format!("certs revoke {serial}")).ended(1).err().contains("certificate itself"));

    let revoke = "certs revoke --certificate made/hospital-new.pem --reason keyCompromise";
    // The store is away: the revocation does not wait, and the same command again writes both leaves.
    std::fs::rename(hub.join("keys/master.key"), hub.join("keys/away")).unwrap();
    en(hub, revoke).ended(69);
    std::fs::rename(hub.join("keys/away"), hub.join("keys/master.key")).unwrap();
    assert!(en(hub, revoke).ended(0).out().contains("revoked"));
    let list = en(hub, "certs list --json").ended(0).json();
    let entry = list.as_array().unwrap().last().unwrap();
    assert_eq!((entry["serial"].as_str(), entry["reason"].as_str()), (Some(serial), Some("keyCompromise")));
    let log = told(hub);
    let reasons: Vec<&str> =
        log[&fingerprint_of(&hub.join("made/hospital-new.pem"))].iter().map(|(_, reason)| reason.as_str()).collect();
    let [first, again, revoked] = reasons[..] else { panic!("{reasons:?}") };
    assert!(first.starts_with(&format!("serial:{serial} until:")), "{first}");
    assert!(again.starts_with(&format!("serial:{serial} ledger:restored until:")), "{again}");
    assert!(revoked.starts_with(&format!("serial:{serial} reason:keyCompromise until:")), "{revoked}");
    en(hub, "certs revoke --certificate ca/issuing.pem").ended(1);
    en(hub, &format!("certs revoke {serial} --certificate made/hospital-new.pem")).ended(64);
    en(hub, "certs revoke").ended(64);
}

#[test]
fn a_ca_brought_back_from_a_backup_does_not_un_revoke() {
    let folder = hub();
    let hub = folder.path();
    let [revoked, other] = ["revoked", "other"].map(|id| {
        let issued = en(hub, &format!("certs issue --participant {id} --out made --json")).ended(0).json();
        issued["serial"].as_str().unwrap().to_owned()
    });
    let copy = |from: &str, to: &str| {
        std::fs::create_dir_all(hub.join(to)).unwrap();
        for file in std::fs::read_dir(hub.join(from)).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), hub.join(to).join(file.file_name())).unwrap();
        }
    };
    copy("ca", "backup");
    en(hub, &format!("certs revoke {revoked} --reason keyCompromise")).ended(0);
    let refused = |why: &str| {
        for command in
            ["certs crl", "certs issue --participant third --out made", "certs renew --all-within 9 --out new"]
        {
            let said = en(hub, command).ended(1).err();
            assert!(said.contains(&revoked) && said.contains(why) && said.contains("--certificate FILE"), "{said}");
        }
    };
    // The ledger alone: the list knows more.
    std::fs::copy(hub.join("backup/ledger.jsonl"), hub.join("ca/ledger.jsonl")).unwrap();
    refused("crl.pem has certificate");
    // The whole folder: the log does.
    copy("backup", "ca");
    refused("the audit log has certificate");
    assert!(ja(hub, "certs crl").ended(1).err().contains("監査記録では"));
    // Another CA's ledger is another matter.
    run(hub, &[("TSUNAGI__CA__FOLDER", "ca-2")], &["certs", "init"]).ended(0);
    run(hub, &[("TSUNAGI__CA__FOLDER", "ca-2")], &["certs", "crl"]).ended(0);
    // A revocation does not wait for it, and has its leaf; the list lacks nothing that the ledger knows.
    let said = en(hub, &format!("certs revoke {other}")).ended(1).err();
    assert!(said.contains("this certificate is revoked") && said.contains(&revoked), "{said}");
    assert_eq!(told(hub)[&fingerprint_of(&hub.join("made/other.pem"))].len(), 2);
    en(hub, "certs revoke --certificate made/revoked.pem --reason keyCompromise").ended(0);
    en(hub, "certs crl").ended(0);
}

#[test]
fn lists_do_not_wait_for_a_store_that_is_down() {
    let folder = hub();
    let hub = folder.path();
    let before = std::fs::read(hub.join("ca/crl.pem")).unwrap();
    std::fs::rename(hub.join("keys/master.key"), hub.join("keys/away")).unwrap();
    assert_ne!(en(hub, "certs crl --days 3").code, 0);
    assert_ne!(std::fs::read(hub.join("ca/crl.pem")).unwrap(), before);
}

#[test]
fn commands_that_want_the_ca_at_once_wait_for_each_other() {
    let folder = hub();
    let issue = |at: usize| {
        let hub = folder.path().to_owned();
        std::thread::spawn(move || en(&hub, &format!("certs issue --participant hospital-{at} --out made")))
    };
    let running: Vec<_> = (0..6).map(issue).collect();
    for command in running {
        command.join().unwrap().ended(0);
    }
    let list = en(folder.path(), "certs list --json").ended(0).json();
    assert_eq!(list.as_array().unwrap().len(), 3 + 6);
}

#[test]
fn init_puts_the_cas_keys_under_a_passphrase_and_says_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("inside")).unwrap();
    secret(&folder.join("inside/ca.passphrase"), "correct horse\n");
    secret(&folder.join("ca.passphrase"), "correct horse\n");
    let absolute = format!("{}/ca.passphrase", folder.display());
    for (hub, file, told) in
        [("inside", "inside/ca.passphrase", "ca.passphrase"), ("outside", "ca.passphrase", absolute.as_str())]
    {
        en(folder, &format!("init {hub} --ca-passphrase-file {file}")).ended(0);
        let hub = folder.join(hub);
        for key in ["root", "issuing", "server-issuing"] {
            let text = std::fs::read_to_string(hub.join(format!("ca/{key}.key"))).unwrap();
            assert!(text.contains("ENCRYPTED PRIVATE KEY"), "{key}");
        }
        let settings: toml::Table = std::fs::read_to_string(hub.join("tsunagi.toml")).unwrap().parse().unwrap();
        assert_eq!(settings["ca"]["passphrase_file"].as_str(), Some(told));
        en(&hub, "certs issue --participant hospital-new --out made").ended(0);
    }
    // A passphrase that cannot be taken shows before anything is made.
    std::fs::write(folder.join("short"), "short\n").unwrap();
    en(folder, "init third --ca-passphrase-file short").ended(1);
    assert!(!folder.join("third").exists());
}

#[test]
fn a_command_that_holds_keys_for_a_moment_leaves_no_core_either() {
    let folder = hub();
    let mut child = Command::new(binary())
        .args(["certs", "bundle", "certs/operator.pem", "--key", "certs/operator.key", "--password-file", "/dev/stdin"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut password = child.stdin.take().unwrap();
    // More than a pipe holds: when it is written, the command has begun to read it, and it does not end before the pipe.
    password.write_all(b"correct horse\n").unwrap();
    password.write_all(&[b'.'; 1 << 20]).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    drop(password);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_participant_that_is_not_registered_is_pointed_out() {
    let folder = hub();
    let hub = folder.path();
    let issue = "certs issue --participant hospital-new --out";
    assert_eq!(en(hub, &format!("{issue} first")).ended(0).err(), "", "there is no registry yet");
    std::fs::write(
        hub.join("some.toml"),
        "[[participant]]\nid = \"hospital-old\"\nrole = \"hospital\"\nname = \"旧\"\n",
    )
    .unwrap();
    en(hub, "registry import some.toml").ended(0);
    let said = en(hub, &format!("{issue} second --json")).ended(0);
    assert!(said.err().contains("hospital-new is not in the registry") && said.err().contains("registry import"));
    assert!(said.json()["serial"].is_string());
    assert!(ja(hub, &format!("{issue} third")).ended(0).err().contains("まだ台帳にない"));
    assert_eq!(en(hub, "certs issue --participant hospital-old --out fourth").ended(0).err(), "");
    assert_eq!(en(hub, "certs issue --server hub.example.jp --out fifth").ended(0).err(), "");
}

#[test]
fn a_signing_request_may_be_der() {
    let folder = hub();
    let hub = folder.path();
    let request = "req -new -newkey rsa:2048 -nodes -outform DER -keyout own.key -out own.der -subj /CN=ignored";
    match Command::new("openssl").args(request.split(' ')).current_dir(hub).output() {
        Ok(made) => assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr)),
        Err(error) => return println!("not run: a signing request in DER by openssl ({error})"),
    }
    let issued = en(hub, "certs issue --participant hospital-own --csr own.der --out own --json").ended(0).json();
    let renew = format!("certs renew {} --csr own.der --out renewed", issued["serial"].as_str().unwrap());
    en(hub, &renew).ended(0);
}
