use super::*;

/// A search; a cursor is its own text backwards.
fn parsed(query: &str) -> Result<Search, Refusal> {
    Search::parse(Some(query), &Registry::default(), |cursor| Some(cursor.chars().rev().collect()))
}

fn cursor(text: &str) -> String {
    let backwards: String = text.chars().rev().collect();
    format!("_page={}", utf8_percent_encode(&backwards, NON_ALPHANUMERIC))
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
        "_page=x%3F0%2F1%2Faiot",
        "patient.identifier=a|1",
        "name=x",
        "agent.name=x",
        "date=2026,2026",
    ] {
        assert!(parsed(bad).is_err(), "{bad}");
    }
    // A cursor holds a place and the whole search; a place may name more logs than a search has values.
    let place: Vec<_> = (0..MOST_VALUES + 1).map(|n| format!("town-{n:02}/9/0")).collect();
    let held = format!("{}?outcome=4&_count=7", place.join(","));
    let search = parsed(&cursor(&held)).unwrap();
    assert_eq!(search.after.as_ref().map(Place::to_string), Some(place.join(",")));
    assert_eq!((search.limit, search.text().as_str()), (7, "outcome=4"));
    assert_eq!(search.at(search.after.as_ref().unwrap()), held);
    assert_eq!(search.url(Some("x")), "/fhir/AuditEvent?_page=x");
    for bad in ["oita/9/0", "oita/9?outcome=4", "oita/9/0?outcome=1", "oita/9/0?_page=x", "?outcome=4"] {
        assert!(parsed(&cursor(bad)).is_err(), "{bad}");
    }
    assert!(parsed(&format!("{}&outcome=0", cursor(&held))).is_err(), "another search beside it");
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
fn a_mark_in_which_a_number_is_hidden_is_looked_for_and_not_told_again() {
    let hidden = "rc-123456789018aaaaaaaaaaaaaaaaaaaa";
    let search = parsed(&format!("entity={hidden}&outcome=0")).unwrap();
    assert_eq!(search.url(None), "/fhir/AuditEvent?entity=%3F&outcome=0&_count=50");
    assert_eq!(search.reason(), "search:entity=%3F&outcome=0");
    // The next page is of the same search.
    let place = Place::parse("oita/9/0").unwrap();
    assert_eq!(parsed(&cursor(&search.at(&place))).unwrap().text(), search.text());
}

#[test]
fn one_person_or_one_participant_is_looked_for_by_the_index() {
    let subject = SubjectKey::new(Timestamp::UNIX_EPOCH, [1; 10]);
    assert_eq!(parsed("").unwrap().narrowed(), LeavesOf::Everybody);
    assert_eq!(parsed("agent=hub").unwrap().narrowed(), LeavesOf::Everybody);
    assert_eq!(parsed(&format!("entity={subject},{subject}")).unwrap().narrowed(), LeavesOf::Everybody);
    assert_eq!(parsed(&format!("entity={subject}")).unwrap().narrowed(), LeavesOf::Subject(subject));
}
