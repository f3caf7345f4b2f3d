//! A 個人番号 sent through every door: each text field of each layout, each header, path, query and malformed body. It is
//! found nowhere afterwards, in no spelling. What is sent is made from the tables, so that a layout that is added is
//! tried.

use std::collections::BTreeMap;
use std::path::Path;

use http::Method;
use serde_json::{Value as Json, json};
use tsunagi_adapters::{Envelope, adapter};
use tsunagi_core::id::FieldKey;
use tsunagi_core::kind::{Field, Kind};
use tsunagi_core::partial_date::PartialDate;
use tsunagi_core::record::Record;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_core::value::{Value, ValueType};
use tsunagi_gateway::pipeline::lookup::shape;
use tsunagi_mappings::{Layout, Tables};
use tsunagi_tests::papers::{RECIPIENT_SYSTEM, consent_of, eligibility};
use tsunagi_tests::process::{KeptHub, Served, partner, run};
use tsunagi_tests::{Partner, files_below, holds, spellings};

/// With a true check digit; in no sample of the demo.
const NUMBER: &str = "987654321093";

/// As people write it.
const FORMS: [&str; 5] =
    [NUMBER, "９８７６５４３２１０９３", "9876-5432-1093", "9876 5432 1093", "９８７６－５４３２－１０９３"];

/// Everything that is looked for, in every encoding.
fn needles() -> Vec<Vec<u8>> {
    FORMS.iter().flat_map(|form| spellings(form)).collect()
}

fn assert_nowhere(bytes: &[u8], place: &str) {
    for needle in needles() {
        assert!(!holds(bytes, &needle), "{place} holds {}", String::from_utf8_lossy(&needle));
    }
}

/// True for a field that takes any text.
fn is_free(field: &Field) -> bool {
    let is_checked = field.identifier.as_ref().is_some_and(|rule| rule.digits_only || rule.check_digit.is_some());
    field.value_type == ValueType::Text && !is_checked
}

fn example(field: &Field) -> Value {
    let text = field.example.clone();
    match field.value_type {
        ValueType::Bool => Value::Bool(text == "true"),
        ValueType::Code => Value::Code(text),
        ValueType::Date => Value::Date(PartialDate::read_iso(&text)),
        ValueType::DateTime => Value::DateTime(text),
        ValueType::Decimal => Value::Decimal(text),
        ValueType::Integer => Value::Integer(text.parse().unwrap()),
        ValueType::MyNumber => Value::MyNumber(Sensitive::new(NUMBER.to_owned())),
        ValueType::Text => Value::Text(text),
    }
}

/// The kind's example, with one field as given; for a hospital without what only a municipality may say.
#[expect(clippy::disallowed_methods, reason = "a record is made from nothing but the kind's own examples")]
fn record(kind: &Kind, is_hospital: bool, changed: &FieldKey, text: &str) -> Record {
    let left_out = |field: &&Field| {
        Some(&field.key) == kind.deleted.as_ref() || (is_hospital && field.value_type == ValueType::MyNumber)
    };
    let fields = kind.fields.iter().filter(|field| !left_out(field));
    let mut values: BTreeMap<FieldKey, Vec<Value>> =
        fields.map(|field| (field.key.clone(), vec![example(field)])).collect();
    values.insert(kind.responsible.clone(), vec![Value::Text("442011".to_owned())]);
    if let Some(sender) = &kind.sender {
        values.insert(sender.clone(), vec![Value::Text("4419929999".to_owned())]);
    }
    values.insert(changed.clone(), vec![Value::Text(text.to_owned())]);
    Record::assertion(kind.name.clone(), values)
}

/// One payload for each layout: a row for each text field and form.
fn payload(tables: &Tables, layout: &Layout) -> (Vec<u8>, usize) {
    let kind = tables.kind(layout.kind()).unwrap();
    let is_hospital = layout.format().as_str() == "fhir_r4";
    let today = tsunagi_gateway::clock::Clock::system().today();
    let mut documents = Vec::new();
    for field in kind.fields.iter().filter(|field| is_free(field)) {
        for form in FORMS {
            let record = record(kind, is_hospital, &field.key, form);
            let row = documents.len() as u64 + 1;
            // A column whose text has to be JSON of its own takes none of these.
            documents.extend(tables.localize(layout, &record, row, today).ok());
        }
    }
    let adapter = adapter(layout.format()).unwrap();
    let bytes = adapter.encode(&documents, &shape(layout, Envelope::Batch)).unwrap_or_else(|f| panic!("{f:?}"));
    assert!(documents.len() > FORMS.len(), "{}", layout.id());
    (bytes, documents.len())
}

/// A channel for each layout of the tables, toward the tenant `oita`.
fn channels(tables: &Tables) -> String {
    let channel = |layout: &Layout| {
        let (id, kind) = (layout.id(), layout.kind());
        let (who, purpose) = match layout.format().as_str() {
            "fhir_r4" => ("hospital-oita", "TREAT"),
            _ => ("city-oita", "PUBHLTH"),
        };
        format!(
            "[[channel]]\nid = \"every-{}\"\nparticipant = \"{who}\"\ntenant = \"oita\"\nkind = \"{kind}\"\nmode = \"submit\"\n\
             layout = \"{id}\"\npurpose = \"{purpose}\"\nfrom = \"2026-01-01\"\n",
            id.as_str().replace('/', "-")
        )
    };
    tables.layouts().map(channel).collect()
}

/// What everybody was answered.
#[derive(Default)]
struct Said {
    count: usize,
}

impl Said {
    async fn ask(
        &mut self,
        who: &Partner,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Json {
        let reply = who.send(method, path, headers, body).await;
        self.count += 1;
        assert_nowhere(&reply.body, path);
        assert_nowhere(format!("{:?}", reply.headers).as_bytes(), path);
        assert!(reply.status.as_u16() < 500, "{path}: {}", reply.text());
        serde_json::from_slice(&reply.body).unwrap_or_default()
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_individual_number_is_found_nowhere_whatever_door_it_comes_through() {
    let copy = tokio::task::spawn_blocking(|| KeptHub::shared().copy()).await.unwrap();
    let hub = copy.path().to_owned();
    let tables = Tables::builtin().unwrap();
    std::fs::write(hub.join("every.toml"), channels(&tables)).unwrap();
    let filter =
        "info,tsunagi_gateway=trace,tsunagi_store=trace,tsunagi_mappings=trace,tsunagi_adapters=trace,hyper=debug";
    let served = tokio::task::spawn_blocking({
        let hub = hub.clone();
        move || {
            run(&hub, &[], &["registry", "import", "every.toml"]).ended(0);
            Served::start(
                &hub,
                &[
                    ("TSUNAGI__LOG__FILTER", filter),
                    ("TSUNAGI__EDGE__RATE_PER_SECOND", "100000"),
                    ("TSUNAGI__EDGE__RATE_BURST", "100000"),
                ],
            )
        }
    });
    let served = served.await.unwrap();
    let (city, hospital) = (partner(&hub, "city-oita", served.edge), partner(&hub, "hospital-oita", served.edge));
    let app = partner(&hub, "app-techo", served.edge);
    let mut said = Said::default();

    // Each text field of each layout.
    let (mut rows, mut exchanges) = (0, Vec::new());
    for layout in tables.layouts() {
        let (body, count) = payload(&tables, layout);
        rows += count;
        let id = layout.id().as_str();
        let csv = format!("text/csv; charset={}", if layout.charset() == "cp932" { "Shift_JIS" } else { "utf-8" });
        let (who, path, media_type) = match layout.format().as_str() {
            "fhir_r4" => (&hospital, "/fhir/Bundle".to_owned(), "application/fhir+json"),
            "pmh_api" => {
                let path = format!("/pmh/v1/{}/registrationTasks", layout.domain().unwrap());
                (&city, path, "application/json")
            }
            _ => (&city, format!("/v1/files/{id}"), csv.as_str()),
        };
        let reply = who.send(Method::POST, &path, &[("content-type", media_type)], body.clone()).await;
        assert!(reply.status.as_u16() < 500, "{id}: {}", reply.text());
        assert_nowhere(&reply.body, id);
        exchanges.push((layout.format().clone(), reply.exchange().to_owned()));
        // The same, broken off in the middle.
        let half = body[..body.len() / 2].to_vec();
        said.ask(who, Method::POST, &path, &[("content-type", media_type)], half).await;
        said.ask(who, Method::POST, &path, &[("content-type", media_type)], NUMBER.as_bytes().to_vec()).await;
    }
    assert!(rows > 500, "{rows} rows");
    for (format, exchange) in &exchanges {
        let who = if format.as_str() == "fhir_r4" { &hospital } else { &city };
        for more in ["", "/rejections"] {
            said.ask(who, Method::GET, &format!("/v1/exchanges/{exchange}{more}"), &[], Vec::new()).await;
        }
    }

    // Each header, path and query.
    for header in [
        "idempotency-key",
        "tsunagi-purpose",
        "accept-language",
        "accept",
        "content-type",
        "authorization",
        "user-agent",
        "traceparent",
        "x-request-id",
        "cookie",
    ] {
        for form in [NUMBER, FORMS[2], FORMS[3]] {
            for path in ["/fhir/Immunization", "/v1/mailbox", "/app/v1/records", "/v1/exchanges/x"] {
                // What a municipality takes out of its mailbox are the texts themselves, which it may have.
                let who = if path == "/v1/mailbox" { &hospital } else { &city };
                said.ask(who, Method::GET, path, &[(header, form)], Vec::new()).await;
            }
            said.ask(&city, Method::POST, "/v1/mailbox/ack", &[(header, form)], b"{}".to_vec()).await;
        }
    }
    for form in FORMS.map(encoded) {
        for path in [
            "/@",
            "/fhir/@",
            "/fhir/Immunization/@",
            "/v1/exchanges/@",
            "/v1/exchanges/@/rejections",
            "/v1/files/@",
            "/pmh/v1/@/registrationTasks/@",
            "/v1/@",
            "/app/v1/@",
            "/fhir/Immunization?@=1",
            "/fhir/Immunization?date=@",
            "/fhir/Immunization?patient.identifier=my_number%7C@",
            "/fhir/Immunization?patient.identifier=@%7C@",
            "/fhir/Immunization?patient.identifier=@",
            "/fhir/Consent?patient.identifier=my_number%7C@",
            "/v1/mailbox?limit=@",
            "/v1/exchanges/ex-00000000000000000000000000000000?leaf=@",
            "/v1/exchanges/ex-00000000000000000000000000000000?after=@",
            "/app/v1/records?kind=@",
            "/app/v1/records?since=@",
            "/app/v1/records?subject=@",
            "/fhir/AuditEvent?@=@",
            "/fhir/AuditEvent?_page=@",
            "/fhir/AuditEvent?_count=@",
            "/fhir/AuditEvent?date=@",
            "/fhir/AuditEvent?outcome=@",
            "/fhir/AuditEvent?agent=@",
            "/fhir/AuditEvent?entity=@",
            "/fhir/Consent?@=@",
            "/fhir/ImmunizationRecommendation?patient.identifier=recipient%7C@",
            "/fhir/ImmunizationRecommendation?vaccine-type=@",
            "/app/v1/access-log?after=@",
            "/app/v1/access-log?limit=@",
            "/app/v1/access-log?subject=@",
        ] {
            let path = path.replace('@', &form);
            for who in [&city, &hospital, &app].into_iter().skip(usize::from(path.starts_with("/v1/mailbox"))) {
                said.ask(who, Method::GET, &path, &[], Vec::new()).await;
            }
        }
        said.ask(&app, Method::DELETE, &format!("/app/v1/consents/{form}"), &[], Vec::new()).await;
    }

    // Hidden in what has the shape of the hub's own marks: it is looked for, and not told again.
    for mark in ["entity=rc-@", "entity=su-@", "agent=@"] {
        let mark = mark.replace('@', &format!("{NUMBER}{}", "a".repeat(20)));
        let path = format!("/fhir/AuditEvent?{mark}&outcome=0");
        let found = said.ask(&city, Method::GET, &path, &[], Vec::new()).await;
        let url = found["link"][0]["url"].as_str().unwrap_or_else(|| panic!("{path}: {found}"));
        assert!(url.ends_with("=%3F&outcome=0&_count=50"), "{url}");
    }

    // Each member of the bodies that are no records.
    let token = std::fs::read_to_string(hub.join("samples/token.txt")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let json_type = ("content-type", "application/json");
    let fhir = ("content-type", "application/fhir+json");
    let now = jiff_now();
    let until = now + jiff::SignedDuration::from_mins(20);
    let request = json!({
        "purpose": "PUBHLTH", "legalBasis": "番号法19条", "tenants": ["hakodate"], "kinds": ["vaccination"],
        "subject": { "system": "my_number", "value": NUMBER }, "items": ["lot_number"],
        "period": { "from": "2026-01-01", "until": "2026-12-31" },
    });
    let link = json!({
        "system": "my_number", "value": NUMBER, "issuer": "https://id.example.jp", "sub": NUMBER, "relationship": "proxy",
    });
    let ack = json!({ "batch": "bt-00000000000000000000000000000000", "rejected": [{ "row": 1, "code": "x" }] });
    let given = json!({ "effect": "permit", "recipient": { "participant": "app-techo" }, "kinds": ["vaccination"] });
    let consent = consent_of("81440018:0001008", now, until);
    let mut both = eligibility("81440018:0001008", Some(tsunagi_tests::papers::consent(now, until)));
    let mine = json!({ "system": "urn:tsunagi:identifier:my-number", "value": NUMBER });
    both["contained"][0]["identifier"].as_array_mut().unwrap().insert(0, mine);
    for (who, path, media_type, body) in [
        (&city, "/v1/requests", json_type, &request),
        (&city, "/v1/links", json_type, &link),
        (&city, "/v1/mailbox/ack", json_type, &ack),
        (&app, "/app/v1/consents", json_type, &given),
        (&hospital, "/fhir/Consent", fhir, &consent),
        (&hospital, "/fhir/CoverageEligibilityRequest/$submit", fhir, &both),
    ] {
        let headers = [media_type, ("authorization", bearer.as_str())];
        let mut bodies = vec![body.clone()];
        for pointer in pointers(body) {
            for form in FORMS {
                let mut changed = body.clone();
                *changed.pointer_mut(&pointer).unwrap() = json!(form);
                bodies.push(changed);
            }
        }
        let mut stranger = body.clone();
        stranger[NUMBER] = json!(NUMBER);
        bodies.push(stranger);
        for body in bodies {
            said.ask(who, Method::POST, path, &headers, body.to_string().into_bytes()).await;
        }
    }

    // What a hospital and an app are told of a person about whom it stands in a text that they would see.
    let sample = std::fs::read(hub.join("samples/immunization.json")).unwrap();
    let mut dose: Json = serde_json::from_slice(&sample).unwrap();
    dose["identifier"][0]["value"] = json!("V-HELD");
    dose["lotNumber"] = json!(FORMS[4]);
    let named = |system: &str| {
        let mut identifiers =
            dose["contained"].as_array().unwrap().iter().flat_map(|one| one["identifier"].as_array().unwrap());
        let found = identifiers.find(|one| one["system"].as_str().unwrap().ends_with(system)).unwrap();
        found["value"].as_str().unwrap().to_owned()
    };
    let joined = format!("{}:{}", named("/PublicPayerNumber"), named("/PublicInsuredPersonNumber"));
    let sent = hospital.send(Method::POST, "/fhir/Immunization", &[fhir], dose.to_string()).await;
    assert_eq!(sent.status, 201, "{}", sent.text());
    let body = consent_of(&joined, now, until).to_string().into_bytes();
    said.ask(&hospital, Method::POST, "/fhir/Consent", &[fhir], body).await;
    let path = format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}%7C{joined}");
    let found = said.ask(&hospital, Method::GET, &path, &[], Vec::new()).await;
    let doses = found["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    let held = doses.filter(|dose| dose["identifier"][0]["value"] == "V-HELD").collect::<Vec<_>>();
    assert!(held.len() == 1 && held[0].get("lotNumber").is_none(), "{found}");
    said.ask(&app, Method::GET, "/app/v1/records", &[("authorization", &bearer)], Vec::new()).await;
    assert!(said.count > 800, "{} answers", said.count);

    let metrics = plainly(served.operations, "/metrics").await;
    assert!(metrics.contains("tsunagi_"));
    assert_nowhere(metrics.as_bytes(), "/metrics");
    let ended = tokio::task::spawn_blocking({
        let hub = hub.clone();
        move || {
            // The write-ahead log is there while it runs.
            assert!(hub.join("data/tsunagi.db-wal").exists());
            let files = files_below(&hub.join("data"));
            for file in files {
                assert_nowhere(&std::fs::read(&file).unwrap(), &file.display().to_string());
            }
            // All leaves are sealed when it has ended, and none is exported before.
            let (_, log) = served.terminate();
            let held = exports(&hub);
            assert!(held, "no leaf says that a lot number was held back");
            log
        }
    });
    let log = ended.await.unwrap();
    assert!(log.contains(" ready "));
    assert_nowhere(log.as_bytes(), "the technical log");
}

/// All that the operator can get out of the hub; true if a leaf tells of the lot number that was held back.
fn exports(hub: &Path) -> bool {
    let mut held = false;
    for tenant in ["hub", "oita", "hakodate"] {
        let file = format!("{tenant}.jsonl");
        run(hub, &[], &["audit", "export", "--tenant", tenant, &file]).ended(0);
        let bytes = std::fs::read(hub.join(&file)).unwrap();
        assert_nowhere(&bytes, &file);
        held |= holds(&bytes, b"held:my_number:lot_number");
    }
    let list = run(hub, &[], &["exchanges", "list", "--limit", "500", "--json"]).ended(0);
    assert_nowhere(&list.stdout, "exchanges list");
    for exchange in list.json().as_array().unwrap() {
        let id = exchange["id"].as_str().unwrap();
        for command in ["show", "rejections"] {
            let ran = run(hub, &[], &["exchanges", command, id]);
            assert_nowhere(&ran.stdout, command);
            assert_nowhere(&ran.stderr, command);
        }
    }
    for line in [["mappings", "coverage"], ["deliveries", "list"]] {
        assert_nowhere(&run(hub, &[], &line).ended(0).stdout, line[0]);
    }
    held
}

/// Every string in a document, by its pointer.
fn pointers(value: &Json) -> Vec<String> {
    let mut found = Vec::new();
    let mut walk = vec![(String::new(), value)];
    while let Some((at, value)) = walk.pop() {
        match value {
            Json::Object(members) => walk.extend(members.iter().map(|(name, value)| (format!("{at}/{name}"), value))),
            Json::Array(items) => walk.extend(items.iter().enumerate().map(|(n, value)| (format!("{at}/{n}"), value))),
            Json::String(_) => found.push(at),
            _ => {}
        }
    }
    found
}

fn jiff_now() -> jiff::Timestamp {
    tsunagi_gateway::clock::Clock::system().now()
}

async fn plainly(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}
