//! Decisions explained: from their events, for a moment that may be another, and under tables that are not in force
//! yet.

use jiff::SignedDuration;
use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{Person, RECIPIENT_SYSTEM, consent, eligibility, entitlement};
use tsunagi_tests::process::{Ran, run};
use tsunagi_tests::{Partner, TestGateway};

const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

/// A hub that knows two people, and a hospital that asked about both: with a consent, and without one.
async fn asked() -> (TestGateway, Partner, [Person; 2], [String; 2]) {
    let hub = TestGateway::start().await;
    let people = [0, 1].map(|n| Person::number(n, hub.today()));
    let rows: Vec<Value> = people.iter().map(entitlement).collect();
    hub.partner("city-oita").post("/pmh/v1/medicalSubsidy/registrationTasks", &json!(rows)).await.expect(202);
    let (hospital, now) = (hub.partner("hospital-oita"), hub.clock.now());
    let said = Some(consent(now, now + SignedDuration::from_mins(5)));
    let permitted = hospital.post(ELIGIBILITY, &eligibility(&people[0].joined(), said)).await.expect(200);
    let denied = hospital.post(ELIGIBILITY, &eligibility(&people[1].joined(), None)).await.expect(404);
    let exchanges = [permitted.exchange().to_owned(), denied.exchange().to_owned()];
    (hub, hospital, people, exchanges)
}

fn tsunagi(hub: &TestGateway, lang: &str, arguments: &[&str]) -> Ran {
    run(hub.folder.path(), &[("LANG", lang)], arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_explained_from_its_event() {
    let (hub, hospital, people, [permitted, denied]) = asked().await;
    let explain =
        |exchange: &str| tsunagi(&hub, "en_US.UTF-8", &["consent", "explain", exchange, "--json"]).ended(0).json();
    let (yes, no) = (explain(&permitted), explain(&denied));
    assert_eq!((yes.as_array().unwrap().len(), no.as_array().unwrap().len()), (1, 1), "{yes} {no}");
    let by = yes[0]["by"][0].as_str().unwrap();
    assert!(
        yes[0]["verdict"] == "permit" && by.starts_with("cd-") && by.ends_with("[hospital-reads-entitlement]"),
        "{yes}"
    );
    assert_eq!((&yes[0]["tenant"], &yes[0]["participant"]), (&json!("oita"), &json!("hospital-oita")));
    assert_eq!((&no[0]["verdict"], &no[0]["reason"]), (&json!("deny"), &json!("consent_missing")));
    assert_eq!(no[0]["by"], json!(["hospital-reads-entitlement"]));
    assert_eq!(no[0]["policy_version"], yes[0]["policy_version"]);
    assert!(no[0]["would_change_if"].as_str().unwrap().contains("consent"), "{no}");
    let words = tsunagi(&hub, "ja_JP.UTF-8", &["consent", "explain", &denied]).ended(0).out();
    assert!(words.contains("必要な同意がない") && words.contains("変わるには"), "{words}");

    // A consent that comes later changes the next answer, and not what is told of this one.
    let now = hub.clock.now();
    let said = Some(consent(now, now + SignedDuration::from_mins(5)));
    hospital.post(ELIGIBILITY, &eligibility(&people[1].joined(), said)).await.expect(200);
    assert_eq!(explain(&denied), no);
    let nothing = "ex-00000000000000000000000000000000";
    assert!(tsunagi(&hub, "en", &["consent", "explain", nothing]).ended(1).err().contains("no log has a decision"));
    tsunagi(&hub, "en", &["consent", "explain", "ex-1"]).ended(64);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_made_as_of_another_day_and_that_it_was_asked_is_in_the_log() {
    let (hub, _, people, _) = asked().await;
    let subject = format!("{RECIPIENT_SYSTEM}|{}", people[0].joined());
    let decide = |more: &[&str]| {
        let mut line =
            vec!["consent", "decide", "--tenant", "oita", "--subject", &subject, "--kind", "subsidy_entitlement"];
        line.extend(["--participant", "hospital-oita", "--purpose", "HPAYMT", "--json"]);
        line.extend(more);
        tsunagi(&hub, "en_US.UTF-8", &line)
    };
    let now = decide(&[]).ended(0).json();
    assert_eq!((&now["verdict"], &now["classes"]), (&json!("permit"), &json!(["normal"])), "{now}");
    let before = (hub.today() - jiff::Span::new().days(2)).to_string();
    let before = decide(&["--as-of", &before]).ended(0).json();
    assert_eq!((&before["verdict"], &before["reason"]), (&json!("deny"), &json!("consent_missing")), "{before}");
    let after = (hub.today() + jiff::Span::new().days(2)).to_string();
    let after = decide(&["--as-of", &after]).ended(0).json();
    assert_eq!((&after["verdict"], &after["reason"]), (&json!("deny"), &json!("consent_expired")), "{after}");
    // A proxy's right ends with the childhood, for which nobody need be linked.
    let proxy = |as_of: i16| {
        let as_of = (hub.today() + jiff::Span::new().years(as_of)).to_string();
        let line = ["--participant", "app-techo", "--purpose", "PATRQT", "--proxy", "--as-of", &as_of];
        let mut all = vec!["consent", "decide", "--tenant", "oita", "--subject", &subject, "--json"];
        all.extend(["--kind", "subsidy_entitlement"]);
        all.extend(line);
        tsunagi(&hub, "en_US.UTF-8", &all).ended(0).json()["reason"].clone()
    };
    assert_eq!([proxy(1), proxy(17)], [json!("consent_missing"), json!("proxy_ended")]);
    decide(&["--as-of", "someday"]).ended(64);
    decide(&["--kind", "frog"]).ended(64);
    let log = hub.log("oita").await;
    let told = log.events.iter().filter(|event| event.action == Action::DecisionRehearsed);
    assert!(told.clone().count() == 5 && told.into_iter().all(|event| event.subject.is_some()));
    let leaves = hub.store().audit_page(&"oita".parse().unwrap(), 0, 1_000).await.unwrap();
    let number = people[0].recipient.as_str();
    assert!(!leaves.iter().any(|leaf| String::from_utf8_lossy(&leaf.bytes).contains(number)));
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_that_another_policy_would_change_are_found_before_it_is_in_force() {
    let (hub, hospital, people, _) = asked().await;
    hospital.post(ELIGIBILITY, &eligibility("81440018:9999999", None)).await.expect(404);
    tsunagi_gateway::sealing::seal_all(&hub.running.gateway).await;
    let policy =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../mappings/policy/default.toml")).unwrap();
    let folder = |name: &str, text: &str| {
        let at = hub.folder.path().join(name);
        std::fs::create_dir_all(at.join("policy")).unwrap();
        std::fs::write(at.join("policy/default.toml"), text).unwrap();
        at.display().to_string()
    };
    let what_if =
        |at: &str| tsunagi(&hub, "en_US.UTF-8", &["consent", "what-if", "--tables", at, "--json"]).ended(0).json();
    let same = what_if(&folder("same", &policy));
    assert_eq!((&same["made_again"], &same["differ"]), (&json!(2), &json!([])), "{same}");
    // The two registrations, and the one who is nobody: neither is silently missing.
    assert_eq!((&same["left_out"], &same["left_out_by_reason"]), (&json!(3), &json!({ "by_channel": 2, "nobody": 1 })));
    // Eligibility by statute, without a consent: whom it would change is the one who had none.
    let rule = policy.find("id = \"hospital-reads-entitlement\"").unwrap();
    let (before, from) = policy.split_at(rule);
    let changed = from.replacen("effect = \"consent\"", "effect = \"statute\"\nclause = \"架空法1条\"", 1);
    let open = what_if(&folder("open", &format!("{before}{changed}")));
    let differ = open["differ"].as_array().unwrap();
    assert_eq!((differ.len(), &differ[0]["was"]), (1, &json!("deny consent_missing")), "{open}");
    assert_eq!(differ[0]["would_be"], "permit normal");
    // And the other way round.
    let closed = from.replacen("classes = [\"normal\"]", "classes = [\"derived\"]", 1);
    let closed = what_if(&folder("closed", &format!("{before}{closed}")));
    let differ: Vec<_> = closed["differ"].as_array().unwrap().iter().map(|one| one["was"].as_str().unwrap()).collect();
    assert!(differ.contains(&"permit normal"), "{closed}");
    // Whoever was shredded has nothing left to decide on.
    let subject = format!("{RECIPIENT_SYSTEM}|{}", people[1].joined());
    tsunagi(&hub, "en", &["subjects", "shred", "--tenant", "oita", "--subject", &subject]).ended(0);
    let at = folder("same", &policy);
    assert_eq!(what_if(&at)["left_out_by_reason"], json!({ "by_channel": 2, "nobody": 1, "subject_gone": 1 }));
    for (lang, words) in [
        (
            "en_US.UTF-8",
            ["1 decisions made again, 0 would differ (4 left out)", "1  the subject is gone (subject_gone)"],
        ),
        (
            "ja_JP.UTF-8",
            [
                "判定 1 件をやり直し、異なるもの 0 件（やり直さないもの 4 件）",
                "1  対象者の鍵が消去されたもの (subject_gone)",
            ],
        ),
    ] {
        let said = tsunagi(&hub, lang, &["consent", "what-if", "--tables", &at]).ended(0).out();
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
    }
    let broken = folder("broken", &policy.replacen("effect = \"consent\"", "effect = \"perhaps\"", 1));
    tsunagi(&hub, "en", &["consent", "what-if", "--tables", &broken]).ended(65);
    hub.finish().await;
}
