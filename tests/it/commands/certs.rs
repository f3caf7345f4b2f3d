//! `tsunagi certs`: the hub's CA.

use std::path::Path;
use std::process::Command;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tsunagi_tests::process::{KeptHub, binary};

use super::{en, ja};

fn names_of(pem: &Path) -> Option<String> {
    let leaf = CertificateDer::pem_file_iter(pem).unwrap().next().unwrap().unwrap();
    tsunagi_certs::participant_of(&leaf)
}

#[test]
fn a_certificate_is_issued_listed_and_revoked() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    let issued = en(hub, "certs issue --participant hospital-new --out new --days 30 --json").ended(0).json();
    let serial = issued["serial"].as_str().unwrap().to_owned();
    let pem = hub.join("new/hospital-new.pem");
    assert_eq!(names_of(&pem).as_deref(), Some("hospital-new"));
    assert!(std::fs::read_to_string(hub.join("new/hospital-new.key")).unwrap().contains("PRIVATE KEY"));

    let entry = |serial: &str| {
        let list = en(hub, "certs list --json").ended(0).json();
        let found = list.as_array().unwrap().iter().find(|entry| entry["serial"] == serial).cloned();
        found.unwrap_or_else(|| panic!("{serial} is not listed"))
    };
    let listed = entry(&serial);
    let seconds = listed["not_after"].as_i64().unwrap() - listed["issued_at"].as_i64().unwrap();
    assert!((29 * 86_400..=31 * 86_400).contains(&seconds), "{listed}");
    assert!(listed["revoked_at"].is_null() && listed["names"].to_string().contains("hospital-new"), "{listed}");
    assert!(en(hub, "certs list").ended(0).out().contains(&serial));

    let crl = std::fs::read(hub.join("ca/crl.pem")).unwrap();
    en(hub, &format!("certs revoke {serial} --reason bored")).ended(64);
    assert!(entry(&serial)["revoked_at"].is_null());
    assert!(ja(hub, &format!("certs revoke {serial} --reason keyCompromise")).ended(0).out().contains("失効しました"));
    let listed = entry(&serial);
    assert_eq!((listed["reason"].as_str(), listed["revoked_at"].is_i64()), (Some("keyCompromise"), true));
    let revoked = std::fs::read(hub.join("ca/crl.pem")).unwrap();
    assert_ne!(revoked, crl, "no new list was written");
    en(hub, "certs revoke 00").ended(1);
    en(hub, "certs crl --days 3").ended(0);
    assert_ne!(std::fs::read(hub.join("ca/crl.pem")).unwrap(), revoked);

    let log = en(hub, "audit show --tenant hub --limit 1000 --json").ended(0).out();
    for action in ["CertificateIssued", "CertificateRevoked"] {
        assert!(log.contains(action) && log.contains(&serial), "the log does not say {action}");
    }
    en(hub, "audit verify").ended(0);
}

#[test]
fn servers_get_certificates_and_wrong_wishes_get_none() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    en(hub, "certs issue --server hub.example.jp --server 192.0.2.1 --out server").ended(0);
    assert_eq!(names_of(&hub.join("server/server.pem")), None, "a server's certificate names a participant");
    en(hub, "certs issue --participant Hospital_NEW!").ended(64);
    en(hub, "certs issue").ended(64);
    en(hub, "certs issue --participant a --server b").ended(64);
    assert!(en(hub, "certs init").ended(1).err().contains("ca"));
    let fresh = tempfile::tempdir().unwrap();
    en(fresh.path(), "certs list").ended(1);
    en(fresh.path(), "certs init").ended(0);
    assert_eq!(en(fresh.path(), "certs list --json").ended(0).json(), serde_json::json!([]));
}

#[test]
fn a_key_that_never_left_its_owner_gets_a_certificate() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("not run: there is no openssl command to make a signing request with");
        return;
    }
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    let request =
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.csr -subj /CN=ignored";
    let made = Command::new("openssl").args(request.split(' ')).current_dir(hub).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    en(hub, "certs issue --participant hospital-own --csr own.csr --out own").ended(0);
    let pem = hub.join("own/hospital-own.pem");
    assert_eq!(
        names_of(&pem).as_deref(),
        Some("hospital-own"),
        "the name comes from the operator, not from the request"
    );
    assert!(!hub.join("own/hospital-own.key").exists(), "a key was made for somebody who has one");
    // The certificate is of the request's key.
    let key_of = |arguments: &str| {
        let out = Command::new("openssl").args(arguments.split(' ')).current_dir(hub).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    };
    assert_eq!(key_of("x509 -in own/hospital-own.pem -noout -pubkey"), key_of("req -in own.csr -noout -pubkey"));
    std::fs::write(
        hub.join("broken.csr"),
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    )
    .unwrap();
    let refused = en(hub, "certs issue --participant hospital-own --csr broken.csr --out broken");
    assert!([1, 65].contains(&refused.code) && !hub.join("broken/hospital-own.pem").exists(), "{}", refused.code);
}

/// A file that only its owner can read.
pub(super) fn secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn events(hub: &Path, action: &str) -> usize {
    en(hub, "audit show --tenant hub --limit 1000 --json").ended(0).out().matches(&format!("\"{action}\"")).count()
}

#[test]
fn renewing_overlaps_is_linked_and_is_in_the_log() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    let old = en(hub, "certs issue --participant hospital-new --out old --days 10 --json").ended(0).json();
    let old = old["serial"].as_str().unwrap();
    let new = en(hub, &format!("certs renew {old} --out new --json")).ended(0).json();
    assert_eq!(new["renews"], old);
    assert_eq!(names_of(&hub.join("new/hospital-new.pem")).as_deref(), Some("hospital-new"));
    let log = en(hub, "audit show --tenant hub --limit 1000 --json").ended(0).out();
    assert!(log.contains("CertificateRenewed") && log.contains(&format!("renews:{old}")), "{log}");
    // Nothing of what stands there is written over, and then nothing is issued either.
    let issued = || en(hub, "certs list --json").ended(0).json().as_array().unwrap().len();
    let (before, leaves) = (issued(), events(hub, "CertificateRenewed"));
    assert!(en(hub, &format!("certs renew {old} --out new")).ended(1).err().contains("nothing was issued"));
    assert_eq!((issued(), events(hub, "CertificateRenewed")), (before, leaves));
    // What has a successor is not due.
    en(hub, "certs issue --server hub.example.jp --out due --days 5").ended(0);
    let all = en(hub, "certs renew --all-within 20 --out all --json").ended(0).json();
    let [only] = all.as_array().unwrap().as_slice() else { panic!("{all}") };
    assert!(hub.join(only["certificate"].as_str().unwrap()).exists(), "{only}");
    assert_eq!(en(hub, "certs renew --all-within 20 --out all --json").ended(0).json(), serde_json::json!([]));
    en(hub, &format!("certs revoke {old}")).ended(0);
    assert!(en(hub, &format!("certs renew {old} --out again")).ended(1).err().contains("revoked"));
    en(hub, "certs renew").ended(64);
}

#[test]
fn no_certificate_is_handed_out_without_its_leaf_and_a_revocation_does_not_wait() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    let serial = en(hub, "certs issue --participant hospital-new --out first --json").ended(0).json();
    let serial = serial["serial"].as_str().unwrap().to_owned();
    let list = || en(hub, "certs list --json").ended(0).json();
    let before = list();
    // A store that does not open: the master key is away.
    std::fs::rename(hub.join("keys/master.key"), hub.join("keys/away")).unwrap();
    assert_ne!(en(hub, "certs issue --participant hospital-other --out second").code, 0);
    assert!(!hub.join("second/hospital-other.pem").exists() && !hub.join("second/hospital-other.key").exists());
    assert_eq!(list(), before, "the ledger knows a certificate that nobody has");
    let said = en(hub, &format!("certs revoke {serial} --reason superseded")).ended(69).err();
    assert!(said.contains("run the same command again"), "{said}");
    assert!(list().to_string().contains("superseded"));
    std::fs::rename(hub.join("keys/away"), hub.join("keys/master.key")).unwrap();
    assert_eq!(events(hub, "CertificateRevoked"), 0);
    en(hub, &format!("certs revoke {serial} --reason superseded")).ended(0);
    assert_eq!(events(hub, "CertificateRevoked"), 1);
    en(hub, "certs crl --days 14").ended(0);
    assert_eq!(events(hub, "CrlPublished"), 1);
}

#[test]
fn the_forecast_names_who_goes_dark_and_what_with_them() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    en(hub, "certs crl --days 90").ended(0);
    // The demo revoked one participant's only certificate: it has none, and is dark already.
    let lines = en(hub, "certs forecast --json").ended(1).json();
    let [line] = lines.as_array().unwrap().as_slice() else { panic!("{lines}") };
    assert_eq!((line["name"].as_str(), line["state"].as_str()), (Some("hospital-closed"), Some("none")));
    en(hub, "certs issue --server hub.example.jp --out server --days 10").ended(0);
    std::fs::copy(hub.join("server/server.pem"), hub.join("certs/server.pem")).unwrap();
    let lines = en(hub, "certs forecast --json").ended(1).json();
    let [line, _] = lines.as_array().unwrap().as_slice() else { panic!("{lines}") };
    assert_eq!((line["what"].as_str(), line["state"].as_str()), (Some("server"), Some("ends")));
    assert!((9..=10).contains(&line["days_left"].as_i64().unwrap()), "{line}");
    assert!(line["channels"].to_string().contains("hospital"), "{line}");
    assert!(ja(hub, "certs forecast").ended(1).out().contains("サーバー証明書"));
    // Two years on everything that init and demo made is over, the CAs are not.
    let later = tsunagi_gateway::clock::Clock::system().today().saturating_add(jiff::Span::new().years(2));
    let lines = en(hub, &format!("certs forecast --as-of {later} --json")).ended(1).json();
    let of = |what: &str| lines.as_array().unwrap().iter().filter(|line| line["what"] == what).count();
    assert!(of("participant") > 5 && of("crl") == 3 && of("client") == 1, "{lines}");
    assert_eq!((of("root_ca"), of("issuing_ca")), (0, 0), "{lines}");
    en(hub, "certs forecast --as-of yesterday").ended(64);
    // A server's certificate that was revoked is as good as ended.
    let entries = en(hub, "certs list --json").ended(0).json();
    let entry = entries.as_array().unwrap().iter().find(|entry| entry["names"][0] == "hub.example.jp").unwrap();
    en(hub, &format!("certs revoke {} --reason keyCompromise", entry["serial"].as_str().unwrap())).ended(0);
    let lines = en(hub, "certs forecast --json").ended(1).json();
    let line = lines.as_array().unwrap().iter().find(|line| line["what"] == "server").unwrap();
    assert_eq!(line["state"], "ended", "{line}");
}

#[test]
fn whoever_is_registered_and_has_no_certificate_is_dark_already() {
    let folder = tempfile::tempdir().unwrap();
    let hub = folder.path();
    en(hub, "init").ended(0);
    let import = |more: &str| {
        let entry = "[[participant]]\nid = \"hospital-new\"\nrole = \"hospital\"\nname = \"新\"\n";
        std::fs::write(hub.join("new.toml"), format!("{entry}{more}")).unwrap();
        en(hub, "registry import new.toml").ended(0);
    };
    import("");
    assert!(en(hub, "certs forecast --within 3").ended(1).out().contains("no certificate"));
    import("suspended = true\n");
    en(hub, "certs forecast --within 3").ended(0);
}

#[test]
fn a_bundle_takes_its_password_from_a_file_and_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    secret(&hub.join("key.passphrase"), "correct horse\n");
    secret(&hub.join("password"), "battery staple\n");
    en(hub, "certs issue --participant hospital-new --out made --passphrase-file key.passphrase").ended(0);
    assert!(std::fs::read_to_string(hub.join("made/hospital-new.key")).unwrap().contains("ENCRYPTED PRIVATE KEY"));
    let bundle = "certs bundle made/hospital-new.pem --key made/hospital-new.key --password-file password";
    assert!(en(hub, bundle).ended(1).err().contains("passphrase"));
    en(hub, &format!("{bundle} --passphrase-file key.passphrase")).ended(0);
    let file = hub.join("made/hospital-new.p12");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    en(hub, &format!("{bundle} --passphrase-file key.passphrase")).ended(1);
    en(hub, &format!("{bundle} --passphrase-file key.passphrase --legacy --out old.p12")).ended(0);
    std::fs::set_permissions(hub.join("password"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(en(hub, &format!("{bundle} --out third.p12")).ended(1).err().contains("chmod 600"));
    let arguments = ["pkcs12", "-in", "made/hospital-new.p12", "-nokeys", "-passin", "pass:battery staple"];
    match Command::new("openssl").args(arguments).current_dir(hub).output() {
        Ok(read) => {
            let text = String::from_utf8_lossy(&read.stdout).into_owned();
            assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 3, "{text}{}", String::from_utf8_lossy(&read.stderr));
        }
        Err(error) => println!("not run: openssl pkcs12 ({error})"),
    }
}

#[test]
fn the_cas_keys_may_be_under_a_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    secret(&folder.join("passphrase"), "correct horse\n");
    std::fs::write(folder.join("tsunagi.toml"), "version = 1\n[ca]\npassphrase_file = \"passphrase\"\n").unwrap();
    en(folder, "certs init").ended(0);
    assert!(std::fs::read_to_string(folder.join("ca/issuing.key")).unwrap().contains("ENCRYPTED PRIVATE KEY"));
    en(folder, "certs issue --participant hospital-new --out made").ended(0);
    std::fs::write(folder.join("tsunagi.toml"), "version = 1\n").unwrap();
    let said = en(folder, "certs crl").ended(1).err();
    assert!(said.contains("passphrase") && !said.contains("horse"), "{said}");
}

#[test]
fn a_linter_of_rfc_5280_finds_nothing() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lint-certificates");
    let ran = Command::new(script).env("TSUNAGI", binary()).env("LANG", "C.UTF-8").output().unwrap();
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    said.lines().filter(|line| line.starts_with("not run: ")).for_each(|line| println!("{line}"));
    assert!(ran.status.success(), "{said}");
}

/// While a new CA takes the place of an old one, what the old one issued ends on its day all the same.
#[test]
fn the_forecast_knows_what_an_earlier_ca_issued() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    en(hub, "certs issue --participant hospital-late --days 5 --out late").ended(0);
    let settings = std::fs::read_to_string(hub.join("tsunagi.toml")).unwrap();
    let moved = settings.replace("\nfolder = \"ca\"", "\nfolder = \"ca-2\"");
    std::fs::write(hub.join("tsunagi.toml"), &moved).unwrap();
    en(hub, "certs init").ended(0);
    let names_late = || {
        let lines = en(hub, "certs forecast --within 10 --json").ended(1).json();
        lines.as_array().unwrap().iter().any(|line| line["name"] == "hospital-late" && line["state"] == "ends")
    };
    assert!(!names_late());
    let both = moved.replace("earlier_folders = []", "earlier_folders = [\"ca\"]");
    std::fs::write(hub.join("tsunagi.toml"), both).unwrap();
    assert!(names_late());
}
