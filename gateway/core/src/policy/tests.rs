//! Reasons, bases and days of the decision in tables; its whole product of inputs is in `product`.

mod product;

use std::collections::BTreeSet;

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::fault::Bilingual;
use crate::id::{ClassName, DirectiveId, FieldKey, KindName, ParticipantId, SubjectKey, TenantId};
use crate::kind::{Field, Kind, SubjectRule};
use crate::registry::Role;
use crate::value::ValueType;

const NORMAL: &str = "normal";
const DERIVED: &str = "derived";
const SELF: &str = "self_viewable";
const NEVER: &str = "never_outward";
const TOWN: &str = "municipality_only";
const WHERE: &str = "whereabouts";
const CLASSES: [&str; 6] = [NORMAL, DERIVED, SELF, NEVER, TOWN, WHERE];

/// The items of class [`SELF`], of which a request may name one and not the other.
const TEST_A: &str = "item.self_viewable";
const TEST_B: &str = "second.self_viewable";

const KIND: &str = "maternal_checkup";
const ASKER: &str = "asker-1";
const CLAUSE: &str = "母子保健法19条の2";
const TODAY: Date = date(2026, 4, 1);

fn names<N: Ord>(texts: &[&str], parse: impl Fn(&str) -> N) -> BTreeSet<N> {
    texts.iter().map(|text| parse(text)).collect()
}

fn classes(texts: &[&str]) -> BTreeSet<ClassName> {
    names(texts, |text| ClassName::parse(text).unwrap())
}

fn kinds(texts: &[&str]) -> BTreeSet<KindName> {
    names(texts, |text| KindName::parse(text).unwrap())
}

fn items(texts: &[&str]) -> BTreeSet<FieldKey> {
    names(texts, |text| FieldKey::parse(text).unwrap())
}

fn now() -> Timestamp {
    "2026-04-01T03:00:00Z".parse().unwrap()
}

fn hours(count: i64) -> Timestamp {
    now() + SignedDuration::from_hours(count)
}

fn subject(number: u8) -> SubjectKey {
    SubjectKey::new(Timestamp::UNIX_EPOCH, [number; 10])
}

fn kind() -> Kind {
    let key = |text: &str| FieldKey::parse(text).unwrap();
    let field = |(name, class): (&str, &str)| Field {
        key: key(&format!("{name}.{class}")),
        value_type: ValueType::Text,
        required: false,
        expected: false,
        many: false,
        label: Bilingual::new("項目", "item"),
        class: ClassName::parse(class).unwrap(),
        example: "x".to_owned(),
        code_system: None,
        unit: None,
        identifier: None,
        max_length: None,
        derived: None,
    };
    Kind {
        name: KindName::parse(KIND).unwrap(),
        label: Bilingual::new("妊婦健診", "maternal checkup"),
        fields: CLASSES.map(|class| ("item", class)).into_iter().chain([("second", SELF)]).map(field).collect(),
        subject: SubjectRule {
            identifiers: Vec::new(),
            created_by: BTreeSet::new(),
            non_disclosure: None,
            birth_date: None,
        },
        business_key: Vec::new(),
        occurrence: key("on"),
        responsible: key("municipality_code"),
        sender: None,
        retention_years: 5,
        deleted: None,
        validity: None,
        schedule: None,
        scheme: None,
    }
}

fn rule(id: &str, flow: Flow, effect: Effect, about: &[&str]) -> PolicyRule {
    let clause = if effect == Effect::Consent { "" } else { CLAUSE };
    PolicyRule {
        id: id.to_owned(),
        flow,
        kinds: BTreeSet::new(),
        purposes: BTreeSet::new(),
        classes: classes(about),
        effect,
        clause: clause.to_owned(),
        only_if_named: false,
        not_for_proxy: false,
        from: None,
        until: None,
    }
}

/// Small, and with every feature of a policy in it. Nothing speaks of `municipality_registers` but a rule: the flow
/// itself is not declared, so the rule must not count.
fn policy() -> Policy {
    use Effect::{Consent, Never, Statute};
    use Flow::*;
    use Purpose::*;
    let class = |name: &&str| ClassRule {
        name: ClassName::parse(name).unwrap(),
        label: Bilingual::new("区分", "class"),
        hidden_by_non_disclosure: *name == WHERE,
    };
    let flow = |flow, non_disclosure_denies| FlowRule {
        flow,
        non_disclosure_denies,
        basis_must_be_stated: flow == MunicipalityRequests,
    };
    let everyday = [NORMAL, DERIVED, WHERE];
    let towns_purposes = BTreeSet::from([Hoperat, Pubhlth]);
    Policy {
        version: "test-1".to_owned(),
        attested_consent_hours: 24,
        proxy_ends_at_age: 18,
        class: CLASSES.iter().map(class).collect(),
        flow: vec![
            flow(AppReads, true),
            flow(DeliveryToMunicipality, false),
            flow(HospitalReads, true),
            flow(HospitalReports, false),
            flow(MunicipalityReads, false),
            flow(MunicipalityRequests, true),
        ],
        rule: vec![
            rule("app-never", AppReads, Never, &[NEVER, TOWN]),
            rule("app-consent", AppReads, Consent, &everyday),
            PolicyRule { not_for_proxy: true, ..rule("app-self", AppReads, Consent, &[SELF]) },
            rule("delivery", DeliveryToMunicipality, Statute, &[]),
            rule("hospital-never", HospitalReads, Never, &[NEVER, TOWN]),
            PolicyRule {
                purposes: BTreeSet::from([Treat, Hpaymt]),
                ..rule("hospital-consent", HospitalReads, Consent, &everyday)
            },
            PolicyRule {
                purposes: BTreeSet::from([Treat]),
                only_if_named: true,
                ..rule("hospital-self", HospitalReads, Consent, &[SELF])
            },
            PolicyRule { kinds: kinds(&["other_kind"]), ..rule("hospital-other-kind", HospitalReads, Statute, &[]) },
            rule("reports", HospitalReports, Statute, &[]),
            PolicyRule { purposes: towns_purposes.clone(), ..rule("own", MunicipalityReads, Statute, &[]) },
            rule("registers", MunicipalityRegisters, Statute, &[]),
            rule("request-never", MunicipalityRequests, Never, &[NEVER, TOWN]),
            PolicyRule {
                purposes: towns_purposes.clone(),
                ..rule("request", MunicipalityRequests, Statute, &everyday)
            },
            PolicyRule {
                purposes: towns_purposes,
                only_if_named: true,
                ..rule("request-self", MunicipalityRequests, Statute, &[SELF])
            },
        ],
    }
}

fn role(flow: Flow) -> Role {
    match flow {
        Flow::AppReads => Role::App,
        Flow::HospitalReads | Flow::HospitalReports => Role::Hospital,
        Flow::DeliveryToMunicipality
        | Flow::MunicipalityReads
        | Flow::MunicipalityRegisters
        | Flow::MunicipalityRequests => Role::Municipality,
    }
}

fn directive(effect: DirectiveEffect, about: &[&str]) -> Directive {
    Directive {
        id: DirectiveId::new(now(), [u8::from(effect == DirectiveEffect::Deny); 10]),
        subject: subject(1),
        effect,
        recipient: RecipientScope::Participant(ParticipantId::parse(ASKER).unwrap()),
        kinds: kinds(&[KIND]),
        classes: classes(about),
        purposes: BTreeSet::new(),
        stated_by: ParticipantId::parse("app-1").unwrap(),
        by_proxy: false,
        given_at: hours(-24),
        expires_at: Some(hours(24)),
        withdrawn_at: None,
    }
}

fn acting() -> [Acting; 4] {
    let proxy = |until| Acting::Proxy(ProxyTerm { from: date(2020, 4, 1), until: Some(until) });
    [Acting::Organization, Acting::Subject, proxy(TODAY), proxy(date(2026, 3, 31))]
}

#[test]
fn without_rules_or_declarations_nothing_is_permitted() {
    for bare in [
        Policy { rule: Vec::new(), ..policy() },
        Policy { flow: Vec::new(), ..policy() },
        Policy { class: Vec::new(), ..policy() },
    ] {
        for flow in Flow::ALL {
            let denial = denied(ask(flow), &bare);
            assert_eq!((denial.reason, denial.basis.as_str()), (DenialReason::NothingPermits, ""), "{flow:?}");
        }
    }
}

/// A question that [`policy`] permits for each flow it declares; the tests below change one thing at a time.
struct Ask {
    flow: Flow,
    purpose: Option<Purpose>,
    non_disclosure: bool,
    acting: Acting,
    stated: Option<&'static str>,
    named: BTreeSet<FieldKey>,
    directives: Vec<Directive>,
    today: Date,
}

fn ask(flow: Flow) -> Ask {
    let purpose = if role(flow) == Role::Municipality { Purpose::Pubhlth } else { Purpose::Treat };
    let (acting, directives) = match flow {
        Flow::AppReads => (Acting::Subject, vec![directive(DirectiveEffect::Permit, &[])]),
        Flow::HospitalReads => (Acting::Organization, vec![directive(DirectiveEffect::Permit, &[])]),
        _ => (Acting::Organization, Vec::new()),
    };
    Ask {
        flow,
        purpose: Some(purpose),
        non_disclosure: false,
        acting,
        stated: Some(CLAUSE),
        named: BTreeSet::new(),
        directives,
        today: TODAY,
    }
}

fn answer(ask: Ask, policy: &Policy) -> Decision {
    let question = Question {
        flow: ask.flow,
        tenant: &TenantId::parse("hamamatsu").unwrap(),
        recipient: &Recipient { participant: ParticipantId::parse(ASKER).unwrap(), role: role(ask.flow) },
        acting: &ask.acting,
        subject: &subject(1),
        non_disclosure: ask.non_disclosure,
        kind: &kind(),
        purpose: ask.purpose,
        stated_basis: ask.stated,
        named_items: &ask.named,
        directives: &ask.directives,
        at: now(),
        today: ask.today,
    };
    decide(&question, policy)
}

fn denied(ask: Ask, policy: &Policy) -> Denial {
    match answer(ask, policy) {
        Decision::Deny(denial) => denial,
        Decision::Permit(permit) => panic!("permitted: {permit:?}"),
    }
}

fn permitted(ask: Ask, policy: &Policy) -> Permit {
    match answer(ask, policy) {
        Decision::Permit(permit) => permit,
        Decision::Deny(denial) => panic!("denied: {denial:?}"),
    }
}

#[test]
fn the_reason_says_what_would_have_to_change() {
    use DenialReason::*;
    let permit = || directive(DirectiveEffect::Permit, &[]);
    let deny = || directive(DirectiveEffect::Deny, &[]);
    let denier = deny().id.to_string();
    let withdrawn = || Directive { withdrawn_at: Some(now()), ..permit() };
    let expired = || Directive { expires_at: Some(now()), ..permit() };
    let ended = || acting()[3].clone();
    let hospital = || ask(Flow::HospitalReads);
    let request = || ask(Flow::MunicipalityRequests);
    let cases = [
        (Ask { non_disclosure: true, acting: ended(), ..hospital() }, NonDisclosure, ""),
        (Ask { acting: ended(), directives: vec![deny()], ..hospital() }, ProxyEnded, ""),
        (Ask { directives: vec![permit(), deny()], ..hospital() }, DirectiveDenies, &denier),
        (Ask { directives: vec![], ..hospital() }, ConsentMissing, "hospital-consent"),
        (Ask { directives: vec![expired()], ..hospital() }, ConsentExpired, "hospital-consent"),
        (Ask { directives: vec![withdrawn()], ..hospital() }, ConsentWithdrawn, "hospital-consent"),
        (Ask { directives: vec![withdrawn(), expired()], ..hospital() }, ConsentWithdrawn, "hospital-consent"),
        (Ask { directives: vec![expired(), withdrawn()], ..hospital() }, ConsentWithdrawn, "hospital-consent"),
        (
            Ask { directives: vec![Directive { given_at: hours(1), ..permit() }], ..hospital() },
            ConsentMissing,
            "hospital-consent",
        ),
        // Slow or read before, a clock does not undo what was denied a moment ago.
        (
            Ask {
                directives: vec![permit(), Directive { given_at: now() + SignedDuration::from_secs(60), ..deny() }],
                ..hospital()
            },
            DirectiveDenies,
            &denier,
        ),
        // Set back, a clock does not undo what was withdrawn; what was known then is another question.
        (
            Ask { directives: vec![Directive { withdrawn_at: Some(hours(1)), ..permit() }], ..hospital() },
            ConsentWithdrawn,
            "hospital-consent",
        ),
        (
            Ask {
                directives: vec![Directive { withdrawn_at: Some(hours(1)), ..expired() }.as_it_stood(now()).unwrap()],
                ..hospital()
            },
            ConsentExpired,
            "hospital-consent",
        ),
        (Ask { purpose: None, ..hospital() }, StatuteForbids, "hospital-never"),
        (Ask { stated: None, ..request() }, BasisNotStated, "request"),
        (Ask { stated: Some("戸籍法49条3項"), ..request() }, BasisNotStated, "request"),
        (Ask { stated: None, named: items(&[TEST_A]), ..request() }, BasisNotStated, "request"),
        (Ask { purpose: Some(Purpose::Etreat), ..ask(Flow::MunicipalityReads) }, NothingPermits, ""),
    ];
    for (ask, reason, basis) in cases {
        let denial = denied(ask, &policy());
        assert_eq!((denial.reason, denial.basis.as_str()), (reason, basis));
    }
}

#[test]
fn of_a_permit_and_a_deny_the_narrower_holds_and_in_doubt_the_deny() {
    let asker = || RecipientScope::Participant(ParticipantId::parse(ASKER).unwrap());
    let hospitals = || RecipientScope::Role(Role::Hospital);
    let treat = || BTreeSet::from([Purpose::Treat]);
    // Everything, to anybody: each respect is narrowed by itself, and then against the other.
    let all = |effect| Directive { recipient: RecipientScope::Any, kinds: kinds(&[]), ..directive(effect, &[]) };
    let narrowings: [fn(Directive) -> Directive; 5] = [
        |d| Directive { recipient: RecipientScope::Participant(ParticipantId::parse(ASKER).unwrap()), ..d },
        |d| Directive { recipient: RecipientScope::Role(Role::Hospital), ..d },
        |d| Directive { kinds: kinds(&[KIND]), ..d },
        |d| Directive { classes: classes(&[NORMAL]), ..d },
        |d| Directive { purposes: BTreeSet::from([Purpose::Treat]), ..d },
    ];
    let permit = || all(DirectiveEffect::Permit);
    let deny = || all(DirectiveEffect::Deny);
    let sees = |directives: Vec<Directive>| {
        let ask = Ask { directives, ..ask(Flow::HospitalReads) };
        match answer(ask, &policy()) {
            Decision::Permit(permit) => permit.classes().contains(&ClassName::parse(NORMAL).unwrap()),
            Decision::Deny(denial) => {
                assert_eq!(denial.reason, DenialReason::DirectiveDenies);
                false
            }
        }
    };
    assert!(sees(vec![permit()]) && !sees(vec![permit(), deny()]), "at the same width the deny holds");
    for narrow in narrowings {
        assert!(sees(vec![narrow(permit()), deny()]), "a narrower permit");
        assert!(!sees(vec![permit(), narrow(deny())]), "a narrower deny");
        assert!(!sees(vec![narrow(permit()), narrow(deny())]), "equally narrow");
        assert!(!sees(vec![narrow(permit()), deny(), narrow(deny())]), "each deny has to give way by itself");
        let over = Directive { withdrawn_at: Some(now()), ..narrow(permit()) };
        assert!(!sees(vec![over, permit(), deny()]), "a permit that is over lifts nothing");
    }
    // Each is narrower in one respect.
    let of_kind = Directive { kinds: kinds(&[KIND]), ..permit() };
    assert!(!sees(vec![of_kind, Directive { purposes: treat(), ..deny() }]));
    let (of_two, of_one) = (kinds(&[KIND, "vaccination"]), kinds(&[KIND]));
    assert!(sees(vec![Directive { kinds: of_one, ..permit() }, Directive { kinds: of_two, ..deny() }]));
    let for_hospitals = Directive { recipient: hospitals(), ..deny() };
    assert!(sees(vec![Directive { recipient: asker(), ..permit() }, for_hospitals.clone()]));
    // What a hospital says it was told lifts nothing for itself; it counts where nothing denies.
    let own = Directive { stated_by: ParticipantId::parse(ASKER).unwrap(), recipient: asker(), ..permit() };
    assert!(sees(vec![own.clone()]) && !sees(vec![own, for_hospitals]));
}

#[test]
fn an_app_hands_on_what_lifts_a_denial_for_itself() {
    let own = |effect| Directive { stated_by: ParticipantId::parse(ASKER).unwrap(), ..directive(effect, &[]) };
    let to_all = Directive { recipient: RecipientScope::Any, ..own(DirectiveEffect::Deny) };
    permitted(Ask { directives: vec![own(DirectiveEffect::Permit), to_all], ..ask(Flow::AppReads) }, &policy());
}

#[test]
fn a_class_hidden_by_the_flag_is_the_reason_where_it_was_the_only_one() {
    let only_where =
        Policy { rule: vec![rule("where", Flow::MunicipalityReads, Effect::Statute, &[WHERE])], ..policy() };
    assert_eq!(*permitted(ask(Flow::MunicipalityReads), &only_where).classes(), classes(&[WHERE]));
    let denial = denied(Ask { non_disclosure: true, ..ask(Flow::MunicipalityReads) }, &only_where);
    assert_eq!(denial.reason, DenialReason::NonDisclosure);
}

#[test]
fn a_permit_names_what_it_rests_on() {
    let by_statute = permitted(ask(Flow::MunicipalityRequests), &policy());
    let statute = Basis::Statute { clause: CLAUSE.to_owned(), rule: "request".to_owned() };
    assert_eq!(*by_statute.bases(), BTreeSet::from([statute]));
    let by_consent = permitted(ask(Flow::HospitalReads), &policy());
    let id = directive(DirectiveEffect::Permit, &[]).id;
    assert_eq!(*by_consent.bases(), BTreeSet::from([Basis::Directive { id, rule: "hospital-consent".to_owned() }]));
}

#[test]
fn a_named_item_is_open_and_its_sibling_is_not() {
    let open = |named: &[&str], policy: &Policy| {
        let permit = permitted(Ask { named: items(named), ..ask(Flow::MunicipalityRequests) }, policy);
        let kind = kind();
        let open = kind.fields.iter().filter(|field| permit.covers(field) && field.class.as_str() == SELF);
        let open = open.map(|field| field.key.clone()).collect::<BTreeSet<_>>();
        let narrowed: Vec<_> = permit.items().keys().map(|class| class.as_str().to_owned()).collect();
        (open, narrowed)
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(open(&[], &policy()), (items(&[]), none.clone()));
    // Neither the class nor an item of another one opens anything.
    assert_eq!(open(&[SELF, "item.never_outward"], &policy()), (items(&[]), none.clone()));
    assert_eq!(open(&[TEST_B], &policy()), (items(&[TEST_B]), vec![SELF.to_owned()]));
    assert_eq!(open(&[TEST_A, TEST_B, "item.normal"], &policy()), (items(&[TEST_A, TEST_B]), vec![SELF.to_owned()]));
    // Where another rule opens the whole class, naming an item does not narrow it, wherever that rule stands.
    let mut wide = policy();
    wide.rule.push(rule("request-wide", Flow::MunicipalityRequests, Effect::Statute, &[SELF]));
    assert_eq!(open(&[TEST_B], &wide), (items(&[TEST_A, TEST_B]), none));
}

#[test]
fn a_consent_names_classes_and_opens_them_whole() {
    let ask = || Ask { named: items(&[TEST_A]), ..ask(Flow::HospitalReads) };
    let unnamed = permitted(ask(), &policy());
    assert!(!unnamed.classes().contains(&ClassName::parse(SELF).unwrap()));
    let permit = directive(DirectiveEffect::Permit, &[SELF]);
    let named = permitted(Ask { directives: vec![permit], ..ask() }, &policy());
    assert_eq!((named.classes(), named.items().len()), (&classes(&[SELF]), 0));
}

#[test]
fn rules_and_proxies_hold_on_their_days_both_ends_included() {
    let dated = |effect| PolicyRule {
        from: Some(date(2025, 4, 1)),
        until: Some(date(2027, 3, 31)),
        ..rule("dated", Flow::MunicipalityReads, effect, &[])
    };
    let statute = Policy { rule: vec![dated(Effect::Statute)], ..policy() };
    let mut forbidden = policy();
    forbidden.rule.push(dated(Effect::Never));
    let term = ProxyTerm { from: date(2025, 4, 1), until: Some(date(2027, 3, 31)) };
    for (today, holds) in
        [(date(2025, 3, 31), false), (date(2025, 4, 1), true), (date(2027, 3, 31), true), (date(2027, 4, 1), false)]
    {
        let is_permitted = |ask, policy: &Policy| matches!(answer(ask, policy), Decision::Permit(_));
        assert_eq!(is_permitted(Ask { today, ..ask(Flow::MunicipalityReads) }, &statute), holds, "{today}");
        assert_eq!(is_permitted(Ask { today, ..ask(Flow::MunicipalityReads) }, &forbidden), !holds, "{today}");
        let proxy = Ask { today, acting: Acting::Proxy(term.clone()), ..ask(Flow::AppReads) };
        assert_eq!(is_permitted(proxy, &policy()), holds, "{today}");
    }
}

#[test]
fn what_forbids_cannot_be_dodged() {
    let mut forbids = policy();
    forbids.rule.push(PolicyRule {
        purposes: BTreeSet::from([Purpose::Treat]),
        not_for_proxy: true,
        ..rule("app-no-derived", Flow::AppReads, Effect::Never, &[DERIVED])
    });
    for (purpose, acting, hidden) in [
        (Some(Purpose::Treat), Acting::Subject, true),
        (Some(Purpose::Treat), acting()[2].clone(), true),
        (None, Acting::Subject, true),
        (Some(Purpose::Patrqt), Acting::Subject, false),
    ] {
        let permit = permitted(Ask { purpose, acting, ..ask(Flow::AppReads) }, &forbids);
        let sees = permit.classes().contains(&ClassName::parse(DERIVED).unwrap());
        assert_eq!(sees, !hidden, "{purpose:?}");
    }
}
