//! Commands that show what a hub holds and what its tables say.

use std::path::Path;

use tsunagi_gateway::gateway::open_store;
use tsunagi_tests::process::{KeptHub, config_of, run};

use super::{en, ja};

#[test]
fn exchanges_are_listed_shown_and_their_rejections_given_back() {
    let kept = KeptHub::shared();
    let hub = kept.path();
    let list = en(&hub, "exchanges list --json").ended(0).json();
    let list = list.as_array().unwrap();
    assert!(list.len() > 8 && list.iter().all(|exchange| exchange["state"] == "complete"));
    assert_eq!(en(&hub, "exchanges list --limit 2 --json").ended(0).json().as_array().unwrap().len(), 2);
    let csv = "municipal_csv/subsidy_entitlement_legacy";
    // Newest first: the repaired rows, then the file itself.
    let id = list.iter().rfind(|exchange| exchange["layout"] == csv).unwrap()["id"].as_str().unwrap();
    assert!(en(&hub, "exchanges list").ended(0).out().contains(id));

    let shown = en(&hub, &format!("exchanges show {id} --json")).ended(0).json();
    let rows = shown["rows"].as_array().unwrap();
    let refused: Vec<_> = rows.iter().filter(|row| row["state"] == "refused").collect();
    assert_eq!((rows.len(), refused.len()), (400, 3));
    let fault = &refused[0]["faults"][0];
    let (english, japanese) = (fault["reason"]["en"].as_str().unwrap(), fault["reason"]["ja"].as_str().unwrap());
    assert!(en(&hub, &format!("exchanges show {id}")).ended(0).out().contains(english));
    assert!(ja(&hub, &format!("exchanges show {id}")).ended(0).out().contains(japanese));

    let back = ja(&hub, &format!("exchanges rejections {id}")).ended(0);
    let (text, _, broken) = encoding_rs::SHIFT_JIS.decode(&back.stdout);
    assert!(!broken && std::str::from_utf8(&back.stdout).is_err(), "not CP932: {text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].contains("ｶﾅ氏名") && lines[0].ends_with("理由"), "{}", lines[0]);
    assert!(text.contains("令和0年4月1日") && text.contains(japanese), "{text}");
    // As the municipality got it over the wire.
    assert_eq!(back.stdout, std::fs::read(hub.join("samples/rejections.csv")).unwrap());

    for line in ["exchanges show", "exchanges rejections"] {
        en(&hub, &format!("{line} ex-0")).ended(64);
        en(&hub, &format!("{line} ex-00000000000000000000000000000000")).ended(64);
    }
}

#[test]
fn deliveries_are_listed_and_shown() {
    let kept = KeptHub::shared();
    let hub = kept.path();
    let all = en(&hub, "deliveries list --json").ended(0).json();
    let all = all.as_array().unwrap();
    assert!(all.len() >= 5 && all.iter().all(|delivery| delivery["state"] == "delivered"));
    assert_eq!(en(&hub, "deliveries list --state dead --json").ended(0).json(), serde_json::json!([]));
    en(&hub, "deliveries list --state lost").ended(64);
    let id = all[0]["id"].as_str().unwrap();
    assert_eq!(en(&hub, &format!("deliveries show {id} --json")).ended(0).json(), all[0]);
    assert!(en(&hub, &format!("deliveries show {id}")).ended(0).out().contains("delivered"));
    en(&hub, "deliveries show dl-1").ended(64);
    let refused = en(&hub, &format!("deliveries redrive {id}")).ended(1);
    assert!(refused.err().contains("neither dead nor held"), "{}", refused.err());
    assert_eq!(en(&hub, "deliveries list --json").ended(0).json().as_array().unwrap(), all);
}

#[test]
fn audit_verify_names_the_leaf_that_was_changed() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    let verified = en(hub, "audit verify --json").ended(0).json();
    let logs = verified.as_array().unwrap();
    assert_eq!(logs.len(), 3, "two tenants and the hub's own");
    for log in logs {
        assert!(log["verified"] == true && log["leaves"] == log["sealed"] && log["fault"].is_null(), "{log}");
    }
    assert!(ja(hub, "audit verify").ended(0).out().contains("検証済"));

    let page = en(hub, "audit show --tenant oita --from 3 --limit 4 --json").ended(0).json();
    let page = page.as_array().unwrap();
    assert_eq!(page.iter().map(|leaf| leaf["leaf"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4, 5, 6]);
    let event = &page[2]["event"];
    assert_eq!(event["action"], "RecordAccepted");
    // One bit of it, as somebody with the disk in hand would change it.
    let written = leaf_bytes(hub, 5);
    let store = hub.join("data/tsunagi.db");
    let mut bytes = std::fs::read(&store).unwrap();
    let at = bytes.windows(written.len()).position(|window| *window == *written).expect("the leaf is in the file");
    bytes[at + written.len() / 2] ^= 1;
    std::fs::write(&store, bytes).unwrap();

    let said = en(hub, "audit verify").ended(1).out();
    assert!(said.contains("leaf 5 was changed") && said.contains("hakodate: verified"), "{said}");
    assert!(ja(hub, "audit verify").ended(1).out().contains("葉 5 が書き換えられています"));
    let found = en(hub, "audit verify --tenant oita --json").ended(1).json();
    assert_eq!((found[0]["verified"].as_bool(), found.as_array().unwrap().len()), (Some(false), 1));
    en(hub, "audit verify --tenant hakodate").ended(0);
    en(hub, "audit verify --tenant HAKODATE").ended(64);
}

/// A leaf of Oita's log as it was written. The store is closed afterwards: everything is in the one file.
fn leaf_bytes(hub: &Path, index: u64) -> Vec<u8> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open_store(&config_of(hub, &[])).await.unwrap();
        let page = store.audit_page(&"oita".parse().unwrap(), index, 1).await.unwrap();
        page[0].bytes.clone()
    })
}

#[test]
fn municipalities_resolve_by_their_history() {
    let folder = tempfile::tempdir().unwrap();
    // code, as of, exit code, state, where to, used outside its days
    let vectors = [
        ("442011", "2026-04-01", 0, "current", vec!["442011"], false),
        ("44201", "2026-04-01", 0, "current", vec!["442011"], false),
        ("383244", "1970-06-01", 0, "moved", vec!["382060"], false),
        ("383244", "1971-06-01", 0, "moved", vec!["382060"], true),
        ("193411", "2000-01-01", 1, "ambiguous", vec!["192015", "194301"], false),
        ("204315", "2000-01-01", 0, "moved", vec!["212067"], false),
        ("222020", "2000-01-01", 0, "moved", vec!["221309"], false),
        ("235211", "2005-01-01", 0, "moved", vec!["232360"], false),
        ("282219", "2000-01-01", 0, "current", vec!["282219"], false),
        ("443611", "2000-01-01", 0, "moved", vec!["442011"], false),
        ("131016", "2026-04-01", 0, "current", vec!["131016"], false),
        ("010006", "2026-04-01", 1, "unknown", vec![], false),
    ];
    for (code, as_of, exit, state, codes, outside) in vectors {
        let line = format!("municipalities resolve {code} --as-of {as_of}");
        let json = en(folder.path(), &format!("{line} --json")).ended(exit).json();
        assert_eq!(
            (json["state"].as_str(), &json["codes"]),
            (Some(state), &serde_json::json!(codes)),
            "{line}: {json}"
        );
        assert_eq!(json["outside_validity"], outside, "{line}");
        if ["383244", "193411"].contains(&code) {
            let words = en(folder.path(), &line).ended(exit).out();
            assert!(words.starts_with(state) && codes.iter().all(|code| words.contains(code)), "{words}");
            assert_eq!(words.contains("warning"), outside, "{words}");
        }
    }
    let hops = en(folder.path(), "municipalities resolve 383244 --as-of 1970-06-01 --json").ended(0).json();
    assert_eq!(hops["hops"], serde_json::json!(["383252", "382124", "382060"]));
    // A ward of a designated city is no municipality: its city is.
    let ward = en(folder.path(), "municipalities resolve 221350 --as-of 2020-01-01 --json").json();
    assert_eq!(ward["codes"], serde_json::json!(["221309"]), "{ward}");
    for wrong in ["010005", "4420", "大分市", "４４２０１１"] {
        assert!(en(folder.path(), &format!("municipalities resolve {wrong}")).ended(65).stdout.is_empty());
    }
    en(folder.path(), "municipalities resolve 442011 --as-of yesterday").ended(64);
}

#[test]
fn mappings_try_explains_a_file_row_by_row_and_sums_up() {
    let kept = KeptHub::shared();
    let hub = kept.path();
    let line = "mappings try municipal_csv/subsidy_entitlement_legacy samples/entitlements.csv";
    let words = en(&hub, line).ended(65).out();
    assert!(
        words.ends_with("397 rows fit (397 with a warning), 3 would be refused\n"),
        "{}",
        words.lines().last().unwrap_or_default()
    );
    assert!(ja(&hub, line).ended(65).out().ends_with("受付できる行 397（うち注意 397）、拒否される行 3\n"));
    let json = en(&hub, &format!("{line} --json")).ended(65).json();
    assert_eq!((json["accepted"].as_u64(), json["refused"].as_u64()), (Some(397), Some(3)));
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 400);
    let steps = rows[0]["steps"].as_array().unwrap();
    let born = steps.iter().find(|step| step["column"] == "生年月日").unwrap();
    assert_eq!(born["field"], "subject.birth_date");
    let sex = steps.iter().find(|step| step["column"] == "性別").unwrap();
    assert!(["male", "female"].contains(&sex["value"].as_str().unwrap()), "{sex}");
    let wrong: Vec<u64> = rows
        .iter()
        .filter(|row| {
            let is_warning =
                |fault: &serde_json::Value| fault["code"] == "check_digit" || fault["code"] == "scheme_unknown";
            row["faults"].as_array().unwrap().iter().any(|fault| !is_warning(fault))
        })
        .map(|row| row["row"].as_u64().unwrap())
        .collect();
    assert_eq!(wrong, [11, 21, 31]);

    en(&hub, "mappings try pmh_api/subsidy_entitlement samples/entitlements.json").ended(65);
    let good = hub.join("samples/immunization.json");
    assert!(
        en(&hub, &format!("mappings try fhir_r4/vaccination {}", good.display())).ended(0).out().contains("1 rows fit")
    );
    let unknown = en(&hub, "mappings try municipal_csv/frog samples/entitlements.csv").ended(64).err();
    assert!(unknown.contains("municipal_csv/subsidy_entitlement_legacy"), "the known ones are not listed: {unknown}");
    en(&hub, "mappings try pmh_api/subsidy_entitlement samples/entitlements.csv").ended(65);
    let missing = en(&hub, "mappings try pmh_api/subsidy_entitlement nowhere.json");
    assert!(missing.code != 0 && missing.err().contains("nowhere.json"), "{}: {}", missing.code, missing.err());
    assert!(en(&hub, "mappings check").ended(0).out().contains("no faults"));
}

#[test]
fn kinds_are_listed_and_shown_with_labels_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    let list = en(folder.path(), "kinds list --json").ended(0).json();
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    for kind in ["birth_certificate", "checkup_infant", "checkup_maternal", "subsidy_entitlement", "vaccination"] {
        assert!(names.contains(&kind), "{kind}");
        let shown = en(folder.path(), &format!("kinds show {kind} --json")).ended(0).json();
        let fields = shown["fields"].as_array().unwrap();
        assert!(fields.len() > 10);
        for field in fields {
            let texts = ["/label/ja", "/label/en", "/disclosure", "/type", "/cardinality", "/example"];
            for text in texts {
                let said = field.pointer(text).and_then(serde_json::Value::as_str);
                assert!(said.is_some_and(|said| !said.is_empty()), "{kind}: {field}");
            }
        }
    }
    assert!(en(folder.path(), "kinds show vaccination").ended(0).out().contains("Vaccination record"));
    assert!(ja(folder.path(), "kinds show vaccination").ended(0).out().contains("接種年月日"));
    en(folder.path(), "kinds show frog").ended(64);
}

/// A reader that has gone away (`tsunagi … | head`) is no crash.
#[test]
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let kept = KeptHub::shared();
    let binary = tsunagi_tests::process::binary().to_str().unwrap();
    let line = format!("'{binary}' exchanges list --limit 50 --json 2>errors.txt | head -n 1");
    let folder = kept.copy();
    let shell = std::process::Command::new("sh").args(["-c", &line]).current_dir(folder.path()).output().unwrap();
    assert!(shell.status.success() && shell.stdout.starts_with(b"["));
    let said = std::fs::read_to_string(folder.path().join("errors.txt")).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    run(folder.path(), &[], &["exchanges", "list"]).ended(0);
}

#[test]
fn schedules_say_when_the_next_dose_may_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // options, exit code, state, first day, last day
    let vectors = [
        (
            "hepatitis_b --born 2026-01-15 --given 2026-04-01 --as-of 2026-04-02",
            0,
            "bookable",
            "2026-04-29",
            "2027-01-14",
        ),
        (
            "hepatitis_b --born 2026-01-15 --given 2026-04-01 --given 2026-04-29 --as-of 2026-05-01",
            0,
            "bookable",
            "2026-08-19",
            "2027-01-14",
        ),
        ("rotavirus_1 --born 2026-04-01 --as-of 2026-04-01", 0, "bookable", "2026-05-13", "2026-07-14"),
        (
            "rotavirus_5 --born 2026-04-01 --given 2026-05-13 --as-of 2026-05-14",
            0,
            "bookable",
            "2026-06-10",
            "2026-11-11",
        ),
        ("bcg --born 2025-03-01 --as-of 2026-02-28", 0, "bookable", "2026-02-28", "2026-02-28"),
        ("bcg --born 2024-02-29 --as-of 2025-03-01", 1, "closed", "", "2025-02-28"),
        ("rsv_maternal --gestation 27+6 --as-of 2026-05-01", 0, "bookable", "2026-05-02", "2026-07-03"),
        ("rsv_maternal --gestation 37+0 --as-of 2026-05-01", 1, "closed", "", "2026-04-30"),
        ("rsv_maternal --as-of 2026-05-01", 1, "needs_gestation", "", ""),
        ("hpv_9 --born 2013-05-01 --as-of 2026-05-01", 1, "needs_sex", "", ""),
        ("hepatitis_b --given 2026-04-01 --as-of 2026-05-01", 1, "needs_birth_date", "", ""),
    ];
    for (line, code, state, earliest, latest) in vectors {
        let said = en(folder, &format!("schedules next {line} --json")).ended(code).json();
        let day = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (day("state"), day("earliest"), day("latest")),
            (state.into(), earliest.into(), latest.into()),
            "{line}"
        );
    }
    let next = "schedules next hib --born 2026-01-15 --given 2026-04-01 --as-of 2026-04-02";
    assert!(en(folder, next).ended(0).out().contains("from 2026-04-22 where the doctor"));
    assert!(ja(folder, next).ended(0).out().contains("2回目: 2026-04-29 から"));
    en(folder, "schedules next frog").ended(64);
    en(folder, "schedules next rsv_maternal --gestation 28+7").ended(64);

    let all = en(folder, "schedules show --json").ended(0).json();
    assert!(all.as_array().unwrap().len() > 10);
    let one = en(folder, "schedules show hepatitis_b --json").ended(0).json();
    assert_eq!(one[0]["doses"][2]["after"][0]["at_least"]["en"], "139 days");
    assert!(ja(folder, "schedules show hepatitis_b").ended(0).out().contains("1歳に至るまで"));
    en(folder, "schedules show frog").ended(64);
}

#[test]
fn what_is_over_is_counted_and_removed() {
    let kept = KeptHub::shared().copy();
    let counted = en(kept.path(), "store purge --dry-run --json").ended(0).json();
    assert_eq!(counted["dry_run"], true);
    let removed = en(kept.path(), "store purge --json").ended(0).json();
    assert_eq!(counted["tenants"], removed["tenants"], "nothing of a hub that was just made is over");
    assert!(removed["tenants"].as_object().unwrap().len() > 2, "{removed}");
    assert!(removed["tenants"].as_object().unwrap().values().all(|tenant| tenant["records"] == 0), "{removed}");
    assert!(en(kept.path(), "store purge --dry-run").ended(0).out().contains("nothing was removed"));
    assert!(ja(kept.path(), "store purge").ended(0).out().contains("保存期間"));
    en(kept.path(), "audit verify").ended(0);
}
