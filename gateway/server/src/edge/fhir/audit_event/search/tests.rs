use super::*;

fn parsed(query: &str) -> Result<Search, Refusal> {
    Search::parse(Some(query), &Registry::default())
}

#[test]
fn dates_are_spans_and_prefixes_cut_them() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let day = |text| parsed(&format!("date={text}")).unwrap();
    let event = serde_json::json!({});
    for (query, inside, outside) in [
        ("2026-04-01", "2026-03-31T15:00:00Z", "2026-03-31T14:59:59.999Z"),
        ("eq2026-04", "2026-04-30T14:59:59Z", "2026-04-30T15:00:00Z"),
        ("2026", "2026-12-31T14:59:59Z", "2026-12-31T15:00:00Z"),
        ("ge2026-04-01", "2026-03-31T15:00:00Z", "2026-03-31T14:59:59.999Z"),
        ("gt2026-04-01", "2026-04-01T15:00:00Z", "2026-04-01T14:59:59.999Z"),
        ("le2026-04-01", "2026-04-01T14:59:59.999Z", "2026-04-01T15:00:00Z"),
        ("lt2026-04-01", "2026-03-31T14:59:59.999Z", "2026-03-31T15:00:00Z"),
        ("ge2026-04-01T00:00:00%2B09:00", "2026-03-31T15:00:00Z", "2026-03-31T14:59:59.999Z"),
        ("le2026-04-01T00:00:00.000+09:00", "2026-03-31T15:00:00Z", "2026-03-31T15:00:00.001Z"),
        ("2026-03-31T15:00:00Z", "2026-03-31T15:00:00.999Z", "2026-03-31T15:00:01Z"),
    ] {
        assert!(day(query).wants(at(inside), &event), "{query} {inside}");
        assert!(!day(query).wants(at(outside), &event), "{query} {outside}");
    }
    let two = parsed("date=ge2026-04-01&date=lt2026-05-01").unwrap();
    assert!(two.wants(at("2026-04-30T14:59:59Z"), &event) && !two.wants(at("2026-04-30T15:00:00Z"), &event));
    assert_eq!(two.text(), "date=ge2026-04-01&date=lt2026-05-01");
    // A moment is spelled by the hub, whatever stands beside it.
    let moment = parsed("date=le2026-04-01T00:00:00%2B09:00[Asia/Tokyo]").unwrap();
    assert_eq!(moment.text(), "date=le2026-03-31T15:00:00Z");
}

#[test]
fn what_is_not_the_hubs_own_is_refused_and_never_kept() {
    for bad in [
        "date=gestern",
        "date=ap2026-04-01",
        "date=2026-13",
        "date=",
        "outcome=1",
        "outcome=0,x",
        "entity=x",
        "entity=Patient/山田花子",
        "entity=urn:x|rc-00000000000000000000000000000001",
        "agent=8144001",
        "agent=nobody",
        "_count=0",
        "_count=201",
        "_page=x",
        "_page=oita/1",
        "patient.identifier=a|1",
        "name=x",
        "agent.name=x",
        "date=2026,2026",
    ] {
        assert!(parsed(bad).is_err(), "{bad}");
    }
    // A place may name more logs than a search has values.
    let place: Vec<_> = (0..MOST_VALUES + 1).map(|n| format!("town-{n:02}/9/0")).collect();
    let search = parsed(&format!("_page={}", place.join(","))).unwrap();
    assert_eq!(search.after.map(|place| place.to_string()), Some(place.join(",")));
    let many = vec!["0"; MOST_VALUES + 1].join(",");
    assert!(parsed(&format!("outcome={many}")).is_err());
    let id = "rc-00000000000000000000000000000001";
    for one in [id.to_owned(), format!("Immunization/{id}"), format!("{RECORD_SYSTEM}|{id}")] {
        let search = parsed(&format!("entity={one}&agent=hub&outcome={OUTCOME_SYSTEM}|0,|8&_count=7")).unwrap();
        let text = format!("entity=urn:tsunagi:record%7C{id}&agent=urn:tsunagi:participant%7Chub&outcome=0%2C8");
        assert_eq!(search.text(), text);
        assert_eq!(search.url(None), format!("/fhir/AuditEvent?{text}&_count=7"));
        assert_eq!(search.reason(), format!("search:{text}"));
        // What is written is read again.
        assert_eq!(parsed(&search.text()).unwrap().text(), text);
    }
}

#[test]
fn one_person_or_one_participant_is_looked_for_by_the_index() {
    let subject = SubjectKey::new(Timestamp::UNIX_EPOCH, [1; 10]);
    assert_eq!(parsed("").unwrap().narrowed(), LeavesOf::Everybody);
    assert_eq!(parsed("agent=hub").unwrap().narrowed(), LeavesOf::Everybody);
    assert_eq!(parsed(&format!("entity={subject},{subject}")).unwrap().narrowed(), LeavesOf::Everybody);
    assert_eq!(parsed(&format!("entity={subject}")).unwrap().narrowed(), LeavesOf::Subject(subject));
}
