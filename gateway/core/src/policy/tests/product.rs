//! The decision over the whole product of its inputs, against an oracle that is written the other way round: from
//! what each flow shows, not from rules.

use super::*;

/// What the person has said, and what that comes to: the classes permitted without being named, those permitted
/// and named, and those denied, if the purpose is `only_for` or there is no such bound.
struct Said {
    name: &'static str,
    directives: Vec<Directive>,
    unnamed: &'static [&'static str],
    named: &'static [&'static str],
    denied: &'static [&'static str],
    only_for: Option<Purpose>,
}

fn situations() -> Vec<Said> {
    let permit = |about: &[&str]| directive(DirectiveEffect::Permit, about);
    let deny = |about: &[&str]| directive(DirectiveEffect::Deny, about);
    let idle = |name, directive| Said {
        name,
        directives: vec![directive],
        unnamed: &[],
        named: &[],
        denied: &[],
        only_for: None,
    };
    let said = |name, directives| Said { name, directives, unnamed: &[], named: &[], denied: &[], only_for: None };
    let treat = BTreeSet::from([Purpose::Treat]);
    vec![
        said("nothing", vec![]),
        Said { unnamed: &CLASSES, ..said("permit", vec![permit(&[])]) },
        Said { named: &[NORMAL, SELF, NEVER], ..said("permit naming", vec![permit(&[NORMAL, SELF, NEVER])]) },
        Said {
            unnamed: &CLASSES,
            only_for: Some(Purpose::Treat),
            ..said("permit for a purpose", vec![Directive { purposes: treat.clone(), ..permit(&[]) }])
        },
        Said {
            unnamed: &CLASSES,
            ..said(
                "permit for a role",
                vec![
                    Directive { recipient: RecipientScope::Role(Role::App), ..permit(&[]) },
                    Directive { recipient: RecipientScope::Role(Role::Hospital), kinds: kinds(&[]), ..permit(&[]) },
                ],
            )
        },
        idle("expired", Directive { expires_at: Some(now()), ..permit(&[]) }),
        idle("withdrawn", Directive { withdrawn_at: Some(now()), ..permit(&[]) }),
        idle("not given yet", Directive { given_at: hours(1), ..permit(&[]) }),
        Said { denied: &CLASSES, ..said("deny", vec![deny(&[])]) },
        Said { denied: &CLASSES, unnamed: &CLASSES, ..said("both", vec![permit(&[]), deny(&[])]) },
        Said { denied: &[DERIVED], unnamed: &CLASSES, ..said("deny one", vec![permit(&[]), deny(&[DERIVED])]) },
        Said {
            denied: &CLASSES,
            only_for: Some(Purpose::Treat),
            ..said("deny a purpose", vec![Directive { purposes: treat, ..deny(&[]) }])
        },
        Said {
            unnamed: &CLASSES,
            ..said("deny withdrawn", vec![permit(&[]), Directive { withdrawn_at: Some(now()), ..deny(&[]) }])
        },
        Said {
            unnamed: &CLASSES,
            ..said(
                "deny all, permit this kind",
                vec![permit(&[]), Directive { kinds: kinds(&[]), recipient: RecipientScope::Any, ..deny(&[]) }],
            )
        },
        Said {
            denied: &[DERIVED],
            unnamed: &CLASSES,
            ..said(
                "deny one class to all",
                vec![permit(&[]), Directive { recipient: RecipientScope::Any, ..deny(&[DERIVED]) }],
            )
        },
        idle(
            "for another recipient",
            Directive {
                recipient: RecipientScope::Participant(ParticipantId::parse("asker-2").unwrap()),
                ..permit(&[])
            },
        ),
        idle("for another role", Directive { recipient: RecipientScope::Role(Role::Operator), ..permit(&[]) }),
        idle("another kind", Directive { kinds: kinds(&["vaccination"]), ..permit(&[]) }),
        idle("another subject", Directive { subject: subject(2), ..permit(&[]) }),
        idle("another subject denies", Directive { subject: subject(2), ..deny(&[]) }),
    ]
}

/// One point of the product, and what is the same at all of them.
struct Case<'a> {
    policy: &'a Policy,
    kind: &'a Kind,
    flow: Flow,
    purpose: Option<Purpose>,
    non_disclosure: bool,
    acting: &'a Acting,
    said: &'a Said,
    stated: Option<&'static str>,
    named: &'a BTreeSet<FieldKey>,
}

impl Case<'_> {
    fn decide(&self) -> Decision {
        let question = Question {
            flow: self.flow,
            tenant: &TenantId::parse("hamamatsu").unwrap(),
            recipient: &Recipient { participant: ParticipantId::parse(ASKER).unwrap(), role: role(self.flow) },
            acting: self.acting,
            subject: &subject(1),
            non_disclosure: self.non_disclosure,
            kind: self.kind,
            purpose: self.purpose,
            stated_basis: self.stated,
            named_items: self.named,
            directives: &self.said.directives,
            at: now(),
            today: TODAY,
        };
        decide(&question, self.policy)
    }

    /// The fields that must be visible, told flow by flow.
    fn expected(&self) -> BTreeSet<FieldKey> {
        let is = |purposes: &[Purpose]| self.purpose.is_some_and(|purpose| purposes.contains(&purpose));
        let proxy = matches!(self.acting, Acting::Proxy(_));
        let ended = matches!(self.acting, Acting::Proxy(term) if term.until == Some(date(2026, 3, 31)));
        let bound = |ifs: bool| self.said.only_for.is_none_or(|only| self.purpose.map_or(ifs, |p| p == only));
        let agreed = |class: &str, must_name: bool| {
            bound(false) && (self.said.named.contains(&class) || (!must_name && self.said.unnamed.contains(&class)))
        };
        let shown = |key: &FieldKey, class: &str| match self.flow {
            Flow::HospitalReports | Flow::DeliveryToMunicipality => true,
            Flow::MunicipalityRegisters => false,
            Flow::MunicipalityReads => is(&[Purpose::Hoperat, Purpose::Pubhlth]),
            Flow::MunicipalityRequests => {
                !self.non_disclosure
                    && self.stated == Some(CLAUSE)
                    && is(&[Purpose::Hoperat, Purpose::Pubhlth])
                    && ([NORMAL, DERIVED, WHERE].contains(&class) || (class == SELF && self.named.contains(key)))
            }
            Flow::HospitalReads if self.non_disclosure => false,
            Flow::HospitalReads => match class {
                NORMAL | DERIVED | WHERE => is(&[Purpose::Treat, Purpose::Hpaymt]) && agreed(class, false),
                SELF => is(&[Purpose::Treat]) && agreed(class, true),
                _ => false,
            },
            Flow::AppReads if self.non_disclosure => false,
            Flow::AppReads => match class {
                NORMAL | DERIVED | WHERE => agreed(class, false),
                SELF => !proxy && agreed(class, false),
                _ => false,
            },
        };
        let kept = |field: &&Field| {
            let class = field.class.as_str();
            let withheld = class == WHERE && self.non_disclosure;
            let denied = bound(true) && self.said.denied.contains(&class);
            !ended && !withheld && !denied && shown(&field.key, class)
        };
        self.kind.fields.iter().filter(kept).map(|field| field.key.clone()).collect()
    }
}

fn each(mut run: impl FnMut(&Case<'_>)) {
    let (policy, kind) = (&policy(), &kind());
    let (situations, acting) = (situations(), acting());
    let named = [items(&[]), items(&[TEST_B, "item.never_outward"])];
    let purposes: Vec<Option<Purpose>> = [None].into_iter().chain(Purpose::ALL.map(Some)).collect();
    for flow in Flow::ALL {
        for purpose in &purposes {
            for non_disclosure in [false, true] {
                for acting in &acting {
                    for said in &situations {
                        for stated in [None, Some(CLAUSE), Some("予防接種法")] {
                            for named in &named {
                                run(&Case {
                                    policy,
                                    kind,
                                    flow,
                                    purpose: *purpose,
                                    non_disclosure,
                                    acting,
                                    said,
                                    stated,
                                    named,
                                });
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn decides_as_the_oracle_over_the_whole_product() {
    let (mut permitted, mut denied) = (0, 0);
    each(|case| {
        let place = || {
            let Case { flow, purpose, non_disclosure, acting, said, stated, .. } = case;
            let said = said.name;
            format!("{flow:?} {purpose:?} flag {non_disclosure} {acting:?} said {said}, stated {stated:?}")
        };
        let expected = case.expected();
        match case.decide() {
            Decision::Permit(permit) => {
                let covered = case.kind.fields.iter().filter(|field| permit.covers(field));
                let keys: BTreeSet<FieldKey> = covered.clone().map(|field| field.key.clone()).collect();
                assert_eq!(keys, expected, "{}", place());
                let of: BTreeSet<ClassName> = covered.map(|field| field.class.clone()).collect();
                assert_eq!(*permit.classes(), of, "{}", place());
                assert!(!permit.bases().is_empty(), "{}", place());
                assert_eq!((permit.flow(), permit.purpose()), (case.flow, case.purpose));
                assert_eq!(permit.recipient().as_str(), ASKER);
                assert_eq!(*permit.subject(), subject(1));
                assert_eq!(permit.kind().as_str(), KIND);
                assert_eq!((permit.policy_version(), permit.decided_at()), ("test-1", now()));
                permitted += 1;
            }
            Decision::Deny(denial) => {
                assert!(expected.is_empty(), "{denial:?}: {}", place());
                assert_eq!(denial.policy_version, "test-1");
                denied += 1;
            }
        }
    });
    assert_eq!(permitted + denied, 7 * 7 * 2 * 4 * 20 * 3 * 2);
    assert!(permitted > 5_000 && denied > 5_000, "{permitted} permitted, {denied} denied");
}

#[test]
fn what_must_never_be_is_nowhere_in_the_product() {
    let outward = [Flow::AppReads, Flow::HospitalReads, Flow::MunicipalityRequests];
    each(|case| {
        let Decision::Permit(permit) = case.decide() else { return };
        let sees = |class: &str| permit.classes().contains(&ClassName::parse(class).unwrap());
        assert!(permit.classes().is_subset(&classes(&CLASSES)));
        assert!(!(outward.contains(&case.flow) && case.non_disclosure), "a flow that the flag stops");
        assert!(!(outward.contains(&case.flow) && (sees(NEVER) || sees(TOWN))), "a class that never travels");
        let narrowed = case.flow == Flow::MunicipalityRequests && sees(SELF);
        assert_eq!(!permit.items().is_empty(), narrowed, "one item of her own results, never all unasked");
        assert!(!(case.non_disclosure && sees(WHERE)), "whereabouts in spite of the flag");
        assert!(!matches!(case.acting, Acting::Proxy(term) if term.until < Some(TODAY)), "a proxy of yesterday");
        assert!(!matches!((case.flow, case.acting), (Flow::AppReads, Acting::Proxy(_))) || !sees(SELF));
        assert_ne!(case.flow, Flow::MunicipalityRegisters, "a flow that is not declared");
        let consented = permit.bases().iter().any(|basis| matches!(basis, Basis::Directive { .. }));
        assert_eq!(consented, matches!(case.flow, Flow::AppReads | Flow::HospitalReads));
    });
}
