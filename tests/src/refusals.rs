//! Every surface on which a caller is told that nothing is available, with somebody for each cause that it has. What is
//! said there must not tell one cause from another: `it/uniform.rs` holds status, bytes, headers and work against each
//! other, `bench/uniform` the times.

use http::Method;
use jiff::{SignedDuration, Span, Timestamp};
use serde_json::{Value, json};

use crate::papers::{
    HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent, consent_of, eligibility, entitlement, immunization,
    registered_vaccination,
};
use crate::{ISSUER, Partner, Reply, TestGateway};

const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
const VACCINATIONS: &str = "/pmh/v1/vaccination/registrationTasks";

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    path: String,
    /// The citizen, where an app asks.
    sub: Option<&'static str>,
    body: String,
}

impl Ask {
    /// Its headers. A token counts for some minutes.
    pub fn headers(&self, hub: &TestGateway) -> Vec<(&'static str, String)> {
        let media_type = if self.path.starts_with("/fhir") { "application/fhir+json" } else { "application/json" };
        let bearer = self.sub.map(|sub| ("authorization", hub.bearer(sub, "app-techo")));
        bearer.into_iter().chain([("content-type", media_type.to_owned())]).collect()
    }

    /// Asks.
    pub async fn send(&self, caller: &Partner, headers: &[(&'static str, String)]) -> Reply {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        caller.send(self.method.clone(), &self.path, &headers, self.body.clone()).await
    }
}

/// Somebody of whom nothing is told.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The cause.
    pub cause: &'static str,
    /// The reason that the log has for it.
    pub reason: &'static str,
    /// The request.
    pub ask: Ask,
}

/// Where somebody asks.
#[derive(Debug, Clone)]
pub struct Surface {
    /// As it is printed.
    pub name: &'static str,
    /// Who asks.
    pub caller: &'static str,
    /// In which log the leaf of a refusal lies, and a person's where there is one.
    pub logs: &'static [&'static str],
    /// By their causes.
    pub refused: Vec<Refused>,
    /// The control: to this one something is told.
    pub granted: Option<Ask>,
}

/// Who they are: in Oita all but `elsewhere`, whom Hakodate alone knows, and `nobody`.
pub struct Cast {
    now: Timestamp,
    nobody: Person,
    silent: Person,
    denied: Person,
    hidden: Person,
    erased: Person,
    open: Person,
    elsewhere: Person,
    /// `Immunization/ID` of each who has one.
    doses: Vec<(&'static str, String)>,
    /// `Coverage/ID` of `open`.
    coverage: String,
    /// A consent of `open` that is not needed, and one of `hidden`.
    directives: [String; 2],
}

impl Cast {
    /// Has them registered, treated, linked and asked for their consent.
    pub async fn assemble(hub: &TestGateway) -> Self {
        let (now, today) = (hub.clock.now(), hub.today());
        let person = |n| Person::number(n, today);
        let [silent, denied, mut hidden, erased, open, elsewhere] = [0, 1, 2, 3, 4, 5].map(person);
        let nobody = Person { recipient: "9999999".to_owned(), ..person(6) };
        let (oita, hakodate, hospital) =
            (hub.partner("city-oita"), hub.partner("city-hakodate"), hub.partner("hospital-oita"));
        let here = [&silent, &denied, &hidden, &erased, &open];
        let rows: Vec<Value> = here.iter().map(|person| entitlement(person)).collect();
        let registered = oita.post(REGISTER, &json!(rows)).await.expect(202);
        let coverage = format!("Coverage/{}", record(&oita, &registered, 4).await);
        let mut gone = entitlement(&erased);
        gone["isDeleted"] = json!(true);
        oita.post(REGISTER, &json!([gone])).await.expect(202);

        let mut doses = Vec::new();
        for (name, person) in [("silent", &silent), ("denied", &denied), ("hidden", &hidden), ("open", &open)] {
            let dose = immunization(person, HOSPITAL_OITA, OITA, &format!("V-{name}"), today);
            let sent = hospital.post("/fhir/Immunization", &dose).await.expect(201);
            doses.push((name, sent.header("location").trim_start_matches("/fhir/").to_owned()));
        }
        hakodate.post(REGISTER, &json!([entitlement(&elsewhere)])).await.expect(202);
        let dose = registered_vaccination(&elsewhere, "012025", "V-elsewhere", today);
        let sent = hakodate.post(VACCINATIONS, &json!([dose])).await.expect(202);
        doses.push(("elsewhere", format!("Immunization/{}", record(&hakodate, &sent, 0).await)));

        for person in [&hidden, &erased, &open] {
            hospital.post("/fhir/Consent", &consent_of(&person.joined(), now, later(now))).await.expect(201);
        }
        for (sub, person) in
            [("silent", &silent), ("denied", &denied), ("hidden", &hidden), ("erased", &erased), ("open", &open)]
        {
            link(&oita, person, sub, "subject", None).await;
        }
        link(&hakodate, &elsewhere, "elsewhere", "subject", None).await;
        link(&oita, &open, "ended", "proxy", today.checked_sub(Span::new().days(1)).ok()).await;
        for recipient in ["hospital-oita", "city-hakodate", "app-techo"] {
            say(hub, "denied", "deny", recipient).await;
        }
        let hidden_said = say(hub, "hidden", "permit", "app-techo").await;
        say(hub, "erased", "permit", "app-techo").await;
        say(hub, "open", "permit", "app-techo").await;
        let not_needed = say(hub, "open", "permit", "app-techo").await;
        // The flag is the one cause of hers: everything was agreed to before.
        hidden.is_not_disclosed = true;
        oita.post(REGISTER, &json!([entitlement(&hidden)])).await.expect(202);
        let directives = [not_needed, hidden_said];
        Self { now, nobody, silent, denied, hidden, erased, open, elsewhere, doses, coverage, directives }
    }

    /// The table.
    pub fn surfaces(&self) -> Vec<Surface> {
        let to_hospital = |name, ask: &dyn Fn(&Person) -> Ask| Surface {
            name,
            caller: "hospital-oita",
            logs: &["oita"],
            refused: vec![
                refused("no record", "subject_unknown", ask(&self.nobody)),
                refused("record deleted", "no_record", ask(&self.erased)),
                refused("no consent", "consent_missing", ask(&self.silent)),
                refused("no right", "directive_denies", ask(&self.denied)),
                refused("no channel", "subject_unknown", ask(&self.elsewhere)),
                refused("non-disclosure", "non_disclosure", ask(&self.hidden)),
            ],
            granted: Some(ask(&self.open)),
        };
        let without_channel = |name, ask: &dyn Fn(&Person) -> Ask| {
            let mut all = to_hospital(name, ask);
            all.refused.push(refused("all but a channel", "no_channel", ask(&self.open)));
            let refused = all.refused.into_iter().map(|one| Refused { reason: "no_channel", ..one }).collect();
            Surface { caller: "hospital-idle", logs: &["hub"], refused, granted: None, ..all }
        };
        let search = |path: &'static str| {
            move |person: &Person| {
                get(format!("{path}?patient.identifier={RECIPIENT_SYSTEM}%7C{}", person.joined()), None)
            }
        };
        let mut at_the_desk = to_hospital("eligibility", &|person| self.at_the_desk(person, true));
        at_the_desk.refused[2] = refused("no consent", "consent_expired", self.at_the_desk(&self.silent, false));
        let mut own_consents = to_hospital("consents handed in", &search("/fhir/Consent"));
        // His consent stays when his record goes.
        own_consents.refused.retain(|one| one.cause != "record deleted");
        own_consents.refused.iter_mut().for_each(|one| one.reason = "own_directives");
        vec![
            at_the_desk,
            to_hospital("search", &search("/fhir/Immunization")),
            to_hospital("search, entitlements", &search("/fhir/Coverage")),
            to_hospital("next dose", &search("/fhir/ImmunizationRecommendation")),
            self.one_record(),
            own_consents,
            self.hand_in(),
            without_channel("eligibility, no channel at all", &|person| self.at_the_desk(person, true)),
            without_channel("search, no channel at all", &search("/fhir/Immunization")),
            self.to_app("app: records", "/app/v1/records"),
            self.to_app("app: search", "/fhir/Immunization"),
            self.to_app("app: next dose", "/fhir/ImmunizationRecommendation"),
            self.to_linked("app: access log", &|sub| get("/app/v1/access-log".to_owned(), Some(sub))),
            self.to_linked("app: AuditEvents", &|sub| get("/fhir/AuditEvent".to_owned(), Some(sub))),
            self.with_nothing_said("app: consents", "/app/v1/consents"),
            self.with_nothing_said("app: Consents", "/fhir/Consent"),
            self.to_linked("app: consent given", &|sub| post("/app/v1/consents", Some(sub), &permit("app-techo"))),
            self.to_linked("app: Consent given", &|sub| post("/fhir/Consent", Some(sub), &self.said_in_fhir())),
            self.withdrawal(),
            self.request(),
        ]
    }

    fn at_the_desk(&self, person: &Person, holds: bool) -> Ask {
        let given = if holds { self.now } else { self.now - SignedDuration::from_hours(6) };
        let asked = eligibility(&person.joined(), Some(consent(given, later(given))));
        post("/fhir/CoverageEligibilityRequest/$submit", None, &asked)
    }

    fn dose(&self, of: &str) -> String {
        let (_, dose) = self.doses.iter().find(|(name, _)| *name == of).expect("a dose");
        format!("/fhir/{dose}")
    }

    fn one_record(&self) -> Surface {
        let dose = |of| get(self.dose(of), None);
        let of_another_type = self.coverage.replace("Coverage", "/fhir/Immunization");
        Surface {
            name: "one record",
            caller: "hospital-oita",
            logs: &["oita"],
            refused: vec![
                refused("no record", "subject_unknown", get(format!("/fhir/Immunization/rc-{}", "0".repeat(32)), None)),
                refused("of another type", "no_record", get(of_another_type, None)),
                refused("no consent", "consent_missing", dose("silent")),
                refused("no right", "directive_denies", dose("denied")),
                refused("no channel", "subject_unknown", dose("elsewhere")),
                refused("non-disclosure", "non_disclosure", dose("hidden")),
            ],
            granted: Some(dose("open")),
        }
    }

    /// A consent is kept for whom the hub knows and may name.
    fn hand_in(&self) -> Surface {
        let said =
            |person: &Person| post("/fhir/Consent", None, &consent_of(&person.joined(), self.now, later(self.now)));
        Surface {
            name: "consent handed in",
            caller: "hospital-oita",
            logs: &["hub"],
            refused: vec![
                refused("no record", "subject_unknown", said(&self.nobody)),
                refused("no channel", "subject_unknown", said(&self.elsewhere)),
                refused("non-disclosure", "subject_unknown", said(&self.hidden)),
            ],
            granted: Some(said(&self.open)),
        }
    }

    /// An app reads for its citizen.
    fn to_app(&self, name: &'static str, path: &'static str) -> Surface {
        let ask = |sub| get(path.to_owned(), Some(sub));
        Surface {
            name,
            caller: "app-techo",
            logs: &["oita"],
            refused: vec![
                refused("no link", "subject_unknown", ask("nobody")),
                refused("no record", "no_record", ask("erased")),
                refused("no consent", "consent_missing", ask("silent")),
                refused("no right", "directive_denies", ask("denied")),
                refused("right ended", "proxy_ended", ask("ended")),
                refused("no channel", "subject_unknown", ask("elsewhere")),
                refused("non-disclosure", "non_disclosure", ask("hidden")),
            ],
            granted: Some(ask("open")),
        }
    }

    /// What depends on the link alone.
    fn to_linked(&self, name: &'static str, ask: &dyn Fn(&'static str) -> Ask) -> Surface {
        Surface {
            name,
            caller: "app-techo",
            logs: &["hub"],
            refused: vec![
                refused("no link", "no_link", ask("nobody")),
                refused("right ended", "no_link", ask("ended")),
                refused("no channel", "no_link", ask("elsewhere")),
                refused("non-disclosure", "no_link", ask("hidden")),
            ],
            granted: Some(ask("open")),
        }
    }

    /// Of who has said nothing there is nothing to be told either; that leaf is the person's own.
    fn with_nothing_said(&self, name: &'static str, path: &'static str) -> Surface {
        let mut surface = self.to_linked(name, &|sub| get(path.to_owned(), Some(sub)));
        surface.refused.push(refused("no record", "own_directives", get(path.to_owned(), Some("silent"))));
        Surface { logs: &["hub", "oita"], ..surface }
    }

    fn withdrawal(&self) -> Surface {
        let [open, hidden] = &self.directives;
        let ask = |sub, id: &str| Ask {
            method: Method::DELETE,
            path: format!("/app/v1/consents/{id}"),
            sub: Some(sub),
            body: String::new(),
        };
        let none = |cause, sub, id| refused(cause, "no_directive", ask(sub, id));
        Surface {
            name: "app: consent withdrawn",
            caller: "app-techo",
            logs: &["hub"],
            refused: vec![
                none("no link", "nobody", open),
                none("right ended", "ended", open),
                none("no channel", "elsewhere", open),
                none("no record", "silent", &format!("cd-{}", "0".repeat(32))),
                none("another's", "silent", open),
                none("non-disclosure", "hidden", hidden),
            ],
            granted: Some(ask("open", open)),
        }
    }

    /// One municipality asks another: by a statute, so that there is no cause "no consent".
    fn request(&self) -> Surface {
        let ask = |person: &Person| {
            let asked = json!({
                "purpose": "PUBHLTH", "legalBasis": "番号法19条", "tenants": ["oita"], "kinds": ["vaccination"],
                "subject": { "system": "recipient", "value": person.joined() },
            });
            post("/v1/requests", None, &asked)
        };
        Surface {
            name: "request",
            caller: "city-hakodate",
            logs: &["oita"],
            refused: vec![
                refused("no record", "subject_unknown", ask(&self.nobody)),
                refused("record deleted", "no_record", ask(&self.erased)),
                refused("no right", "directive_denies", ask(&self.denied)),
                refused("unknown there", "subject_unknown", ask(&self.elsewhere)),
                refused("non-disclosure", "non_disclosure", ask(&self.hidden)),
            ],
            granted: Some(ask(&self.open)),
        }
    }

    fn said_in_fhir(&self) -> Value {
        let provision = json!({ "type": "permit", "period": { "end": later(self.now) } });
        json!({ "resourceType": "Consent", "status": "active", "provision": provision })
    }
}

fn later(now: Timestamp) -> Timestamp {
    now + SignedDuration::from_hours(4)
}

fn refused(cause: &'static str, reason: &'static str, ask: Ask) -> Refused {
    Refused { cause, reason, ask }
}

fn get(path: String, sub: Option<&'static str>) -> Ask {
    Ask { method: Method::GET, path, sub, body: String::new() }
}

fn post(path: &str, sub: Option<&'static str>, body: &Value) -> Ask {
    Ask { method: Method::POST, path: path.to_owned(), sub, body: body.to_string() }
}

fn permit(recipient: &str) -> Value {
    json!({ "effect": "permit", "recipient": { "participant": recipient } })
}

/// The record that a row of an exchange came to.
async fn record(sender: &Partner, sent: &Reply, row: usize) -> String {
    let receipt = sender.get(&format!("/v1/exchanges/{}", sent.exchange())).await.expect(200).json();
    receipt["rows"][row]["record"].as_str().expect("a record").to_owned()
}

async fn link(city: &Partner, person: &Person, sub: &str, relationship: &str, until: Option<jiff::civil::Date>) {
    let mut body = json!({
        "system": "recipient", "value": person.joined(), "issuer": ISSUER, "sub": sub, "relationship": relationship,
    });
    if let Some(until) = until {
        body["from"] = json!(until.checked_sub(Span::new().days(30)).expect("a day"));
        body["until"] = json!(until);
    }
    city.post("/v1/links", &body).await.expect(201);
}

/// What a citizen says through the app; gives the id of the directive.
async fn say(hub: &TestGateway, sub: &'static str, effect: &str, recipient: &str) -> String {
    let mut body = permit(recipient);
    body["effect"] = json!(effect);
    let ask = post("/app/v1/consents", Some(sub), &body);
    let kept = ask.send(&hub.partner("app-techo"), &ask.headers(hub)).await.expect(201).json();
    kept["consents"][0]["id"].as_str().expect("an id").to_owned()
}
