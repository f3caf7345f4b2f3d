//! What the partners send, as it comes from real systems: a CP932 CSV with 和暦 dates and half-width kana, a PMH JSON
//! array, FHIR JSON. The people are invented.

use jiff::civil::Date;
use serde_json::{Value, json};
use tsunagi_core::identifier;

/// 公費負担者番号 of the play's subsidy, with its check digit.
pub(super) const PAYER: &str = "81440018";
/// 母子健康手帳番号 of the mother.
pub(super) const HANDBOOK: &str = "2026-000777";
/// How many entitlements come as PMH JSON; the rest of the thousand come as CSV.
pub(super) const BY_PMH: usize = 600;
/// All of them.
pub(super) const ENTITLEMENTS: usize = 1_000;

/// The children that the later acts are about, by their place in the list.
pub(super) const IN_FORCE: usize = 0;
/// Her right has lapsed.
pub(super) const LAPSED: usize = 1;
/// His whereabouts are not to be known.
pub(super) const NOT_DISCLOSED: usize = 2;

const FAMILIES: [(&str, &str); 8] = [
    ("高橋", "タカハシ"),
    ("髙﨑", "タカサキ"),
    ("架空", "カクウ"),
    ("見本", "ミホン"),
    ("例田", "レイダ"),
    ("試山", "タメシヤマ"),
    ("仮屋", "カリヤ"),
    ("模擬川", "モギガワ"),
];
const GIVEN: [(&str, &str); 8] = [
    ("花子", "ハナコ"),
    ("太郎", "タロウ"),
    ("さくら", "サクラ"),
    ("蓮", "レン"),
    ("陽葵", "ヒマリ"),
    ("湊", "ミナト"),
    ("結衣", "ユイ"),
    ("大翔", "ヒロト"),
];

/// One invented child.
pub(super) struct Child {
    /// 氏名
    pub name: String,
    /// 氏名カナ
    pub kana: String,
    /// 生年月日
    pub born: Date,
    /// True for a girl.
    pub is_girl: bool,
    /// 公費受給者番号
    pub recipient: String,
    /// 宛名番号
    pub resident: String,
    /// 個人番号, invented, with its check digit.
    pub my_number: String,
    /// First and last day of the right.
    pub valid: (Date, Date),
    /// 不開示
    pub not_disclosed: bool,
}

/// The child at a place in the list, always the same one.
pub(super) fn child(place: usize, today: Date) -> Child {
    let pick = |list: &[(&'static str, &'static str); 8], at: usize| list.get(at % 8).copied().unwrap_or(("", ""));
    let (family, given) = (pick(&FAMILIES, place / 8), pick(&GIVEN, place));
    let with_digit = |body: String, digit: Option<u8>| format!("{body}{}", digit.unwrap_or_default());
    let recipient = format!("{:06}", 100 + place);
    let my_number = format!("{:011}", 20_000_000_000_u64 + place as u64 * 7_919);
    let days = |count: i32| today.saturating_add(jiff::Span::new().days(count));
    let valid = if place == LAPSED { (days(-800), days(-400)) } else { (days(-100), days(200)) };
    let digit = identifier::modulus_10(&recipient);
    let my_digit = identifier::my_number(&my_number);
    Child {
        name: format!("{}{}", family.0, given.0),
        kana: format!("{}{}", family.1, given.1),
        born: days(-(450 + (place as i32 * 13) % 3_000)),
        is_girl: place.is_multiple_of(2),
        recipient: with_digit(recipient, digit),
        resident: format!("A{:09}", 500_000 + place),
        my_number: with_digit(my_number, my_digit),
        valid,
        not_disclosed: place == NOT_DISCLOSED,
    }
}

/// A PMH registration of the first children. Three rows are wrong: a code nobody knows, a missing end, a wrong type.
pub(super) fn entitlements_json(today: Date) -> Vec<u8> {
    let rows: Vec<Value> = (0..BY_PMH)
        .map(|place| {
            let child = child(place, today);
            let mut row = json!({
                "orgSpecificCertificateTypeId": "KODOMO01",
                "myNumber": child.my_number,
                "basicFiveInfo": {
                    "name": child.name, "nameKana": child.kana, "address": "大分県大分市架空町1丁目2番3号",
                    "dateOfBirth": child.born, "sex": if child.is_girl { "2" } else { "1" },
                },
                "isNotDisclosed": child.not_disclosed,
                "medicalSubsidyInsurerNumber": PAYER,
                "certificationName": "子ども医療費受給資格者証",
                "medicalSubsidyRecipientNumber": child.recipient,
                "isAlwaysReimbursement": "0",
                "validFrom": child.valid.0,
                "validTo": child.valid.1,
            });
            match (place, row.as_object_mut()) {
                (100, Some(members)) => {
                    members.insert("basicFiveInfo".to_owned(), json!({
                        "name": "誤例 一", "nameKana": "ゴレイイチ", "address": "大分県大分市架空町9番", "dateOfBirth": "2020-01-01",
                        "sex": "7",
                    }));
                }
                (200, Some(members)) => {
                    members.remove("validTo");
                }
                (300, Some(members)) => {
                    members.insert("isAlwaysReimbursement".to_owned(), json!(true));
                }
                _ => {}
            }
            row
        })
        .collect();
    Value::Array(rows).to_string().into_bytes()
}

const CSV_HEADER: &str = "宛名番号,個人番号,漢字氏名,ｶﾅ氏名,生年月日,性別,住所,団体ｺｰﾄﾞ,負担者番号,受給者番号,証種別,受給者証名,不開示フラグ,常に償還払い,有効開始日,有効終了日";

/// The other children as an older system exports them. Three rows are wrong: a code nobody knows, a year 0 of an era,
/// a payer number that lost a digit.
pub(super) fn entitlements_csv(today: Date) -> String {
    let mut text = format!("{CSV_HEADER}\r\n");
    for place in BY_PMH..ENTITLEMENTS {
        let child = child(place, today);
        let (mut sex, mut from, mut payer) =
            (if child.is_girl { "2" } else { "1" }.to_owned(), era(child.valid.0), PAYER.to_owned());
        match place - BY_PMH {
            10 => sex = "性別不明".to_owned(),
            20 => from = "令和0年4月1日".to_owned(),
            30 => payer = "8144001".to_owned(),
            _ => {}
        }
        let Child { name, resident, my_number, recipient, .. } = &child;
        let (kana, born, until) = (half_width(&child.kana), era(child.born), era(child.valid.1));
        text.push_str(&format!(
            "{resident},{my_number},{name},{kana},{born},{sex},大分県大分市架空町1丁目2番3号,442011,{payer},{recipient},KODOMO01,子ども医療費受給資格者証,0,0,{from},{until}\r\n"
        ));
    }
    text
}

/// The rejection file, repaired as a clerk would: the three cells are put right, the individual numbers, which the hub
/// has not kept, are put in again, the rest stays.
pub(super) fn repair(rejections: &str, today: Date) -> String {
    let first = era(child(0, today).valid.0);
    let repaired = rejections
        .replace("性別不明", "1")
        .replace("令和0年4月1日", &first)
        .replace(",8144001,", &format!(",{PAYER},"));
    [10, 20, 30].into_iter().fold(repaired, |text, place| {
        let Child { resident, my_number, .. } = child(BY_PMH + place, today);
        text.replace(&format!("{resident},要再入力,"), &format!("{resident},{my_number},"))
    })
}

/// 令和 dates; all of the play's are in that era.
fn era(date: Date) -> String {
    if date.year() < 2020 {
        return format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
    }
    format!("令和{}年{}月{}日", date.year() - 2018, date.month(), date.day())
}

/// Half-width kana as older systems write them; a voiced kana becomes two characters.
fn half_width(kana: &str) -> String {
    const PAIRS: [(&str, &str); 30] = [
        ("ア", "ｱ"),
        ("イ", "ｲ"),
        ("ウ", "ｳ"),
        ("カ", "ｶ"),
        ("ガ", "ｶﾞ"),
        ("ギ", "ｷﾞ"),
        ("ク", "ｸ"),
        ("コ", "ｺ"),
        ("サ", "ｻ"),
        ("シ", "ｼ"),
        ("タ", "ﾀ"),
        ("ダ", "ﾀﾞ"),
        ("ト", "ﾄ"),
        ("ナ", "ﾅ"),
        ("ハ", "ﾊ"),
        ("ヒ", "ﾋ"),
        ("ホ", "ﾎ"),
        ("マ", "ﾏ"),
        ("ミ", "ﾐ"),
        ("メ", "ﾒ"),
        ("モ", "ﾓ"),
        ("ヤ", "ﾔ"),
        ("ユ", "ﾕ"),
        ("ラ", "ﾗ"),
        ("リ", "ﾘ"),
        ("レ", "ﾚ"),
        ("ロ", "ﾛ"),
        ("ワ", "ﾜ"),
        ("ン", "ﾝ"),
        ("ー", "ｰ"),
    ];
    kana.chars()
        .map(|c| {
            let text = c.to_string();
            PAIRS.iter().find(|(full, _)| *full == text).map_or(text.clone(), |(_, half)| (*half).to_owned())
        })
        .collect()
}

/// The mother's earlier checkup, as the municipality's own system exports it; `syphilis` and `smoking` must never travel.
pub(super) fn earlier_checkup_csv() -> String {
    let header = "宛名番号,手帳番号,漢字氏名,ｶﾅ氏名,生年月日,性別,医機ｺｰﾄﾞ,整理番号,団体ｺｰﾄﾞ,健診回数,診察月日,妊娠週数,妊娠日数,体重,収縮期血圧,拡張期血圧,妊娠高血圧症候群,HBs抗原,梅毒,HIV抗体,喫煙,飲酒,流産回数,死産回数";
    let row = "A000900001,2026-000777,里見帰子,ｻﾄﾐｶｴﾘｺ,H07.05.20,2,4419929999,M-0001,442011,5,R08.05.12,20,3,54.2,118,72,0,1,1,1,0,0,1,0";
    format!("{header}\r\n{row}\r\n")
}

/// How a hospital names a child to the hub: payer and recipient number, and the municipality.
fn patient(child: &Child) -> Value {
    json!({
        "resourceType": "Patient", "id": "patient",
        "identifier": [
            { "system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicPayerNumber", "value": PAYER },
            { "system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicInsuredPersonNumber", "value": child.recipient },
            { "system": "urn:tsunagi:identifier:municipality", "value": "442011" },
        ],
        "name": [{
            "extension": [{ "url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", "valueCode": "IDE" }],
            "text": child.name,
        }],
        "birthDate": child.born,
        "gender": if child.is_girl { "female" } else { "male" },
    })
}

fn institution(code: &str) -> Value {
    json!({
        "resourceType": "Organization", "id": "institution",
        "identifier": [
            { "system": "urn:tsunagi:identifier:role", "value": "issuer" },
            { "system": "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no", "value": code },
        ],
    })
}

/// A vaccination as a hospital's system writes it.
pub(super) fn immunization(child: &Child, hospital: &str, number: &str, vaccine: &str, on: Date) -> Value {
    json!({
        "resourceType": "Immunization",
        "meta": { "profile": ["http://jpfhir.jp/fhir/core/StructureDefinition/JP_Immunization"] },
        "contained": [patient(child), institution(hospital)],
        "identifier": [{ "system": "urn:tsunagi:identifier:document", "value": number }],
        "status": "completed",
        "vaccineCode": { "coding": [{ "system": "urn:tsunagi:code:vaccine_kind", "code": vaccine }] },
        "patient": { "reference": "#patient" },
        "occurrenceDateTime": on,
        "performer": [{ "actor": { "reference": "#institution", "type": "Organization" } }],
        "lotNumber": "LOT-4711",
        "doseQuantity": { "value": 0.5, "system": "http://unitsofmeasure.org", "code": "mL" },
        "protocolApplied": [{ "doseNumberPositiveInt": 1 }],
    })
}

/// Several resources at once, answered row by row.
pub(super) fn batch(resources: Vec<Value>) -> Value {
    let entries: Vec<Value> = resources
        .into_iter()
        .map(|resource| json!({ "resource": resource, "request": { "method": "POST", "url": "Immunization" } }))
        .collect();
    json!({ "resourceType": "Bundle", "type": "batch", "entry": entries })
}

const COMPOSITION: &str = "urn:uuid:7a0e6c1e-0000-4000-8000-000000000001";
const PATIENT: &str = "urn:uuid:7a0e6c1e-0000-4000-8000-000000000002";
const INSTITUTION: &str = "urn:uuid:7a0e6c1e-0000-4000-8000-000000000003";

/// A document Bundle around a Composition.
fn document(number: &str, mut composition: Value, patient: Value, hospital: &str, rest: Vec<Value>) -> Value {
    if let Some(members) = composition.as_object_mut() {
        members.insert("resourceType".to_owned(), json!("Composition"));
        members.insert("status".to_owned(), json!("final"));
        members.insert("subject".to_owned(), json!({ "reference": PATIENT }));
        members.insert("author".to_owned(), json!([{ "reference": INSTITUTION }]));
    }
    let mut entries = vec![
        json!({ "fullUrl": COMPOSITION, "resource": composition }),
        json!({ "fullUrl": PATIENT, "resource": patient }),
        json!({ "fullUrl": INSTITUTION, "resource": institution(hospital) }),
    ];
    entries.extend(rest.into_iter().map(|resource| json!({ "resource": resource })));
    json!({
        "resourceType": "Bundle", "type": "document",
        "identifier": { "system": "urn:tsunagi:identifier:document", "value": number }, "entry": entries,
    })
}

fn checkup_composition(category: &str, title: &str, on: Date) -> Value {
    json!({
        "type": { "coding": [{ "system": "http://jpfhir.jp/fhir/Common/CodeSystem/doc-typecodes", "code": "53576-5" }] },
        "category": [{ "coding": [{ "system": "urn:oid:2.16.840.1.113883.2.2.1.6.1001", "code": category }] }],
        "title": title, "date": on,
    })
}

fn observation(system: &str, code: &str, value: (&str, Value)) -> Value {
    let mut observation = json!({
        "resourceType": "Observation", "status": "final", "code": { "coding": [{ "system": system, "code": code }] },
    });
    if let Some(members) = observation.as_object_mut() {
        members.insert(value.0.to_owned(), value.1);
    }
    observation
}

fn quantity(value: f64, unit: &str) -> (&'static str, Value) {
    ("valueQuantity", json!({ "value": value, "system": "http://unitsofmeasure.org", "code": unit }))
}

fn coded(system: &str, code: &str) -> (&'static str, Value) {
    ("valueCodeableConcept", json!({ "coding": [{ "system": format!("urn:tsunagi:code:{system}"), "code": code }] }))
}

const ITEM: &str = "urn:tsunagi:item";
const JLAC10: &str = "http://medis.or.jp/CodeSystem/master-JLAC10-17digits";

/// An infant checkup.
pub(super) fn infant_checkup(child: &Child, hospital: &str, number: &str, on: Date) -> Value {
    let observations = vec![
        observation(ITEM, "checkup.type", coded("infant_checkup_type", "months_18")),
        observation(ITEM, "judgement", coded("judgement", "no_findings")),
        observation(JLAC10, "9N001000000000001", quantity(80.5, "cm")),
        observation(JLAC10, "9N006000000000001", quantity(10.25, "kg")),
    ];
    document(number, checkup_composition("43", "乳幼児健診結果報告書", on), patient(child), hospital, observations)
}

/// A maternal checkup of the mother who has gone home for the birth.
pub(super) fn maternal_checkup(hospital: &str, number: &str, on: Date) -> Value {
    let mother = json!({
        "resourceType": "Patient",
        "identifier": [
            { "system": "urn:tsunagi:identifier:maternal-handbook", "value": HANDBOOK },
            { "system": "urn:tsunagi:identifier:municipality", "value": "442011" },
        ],
    });
    let observations = vec![
        observation(JLAC10, "9N006000000000001", quantity(60.1, "kg")),
        observation(ITEM, "smoking", ("valueBoolean", json!(true))),
    ];
    document(number, checkup_composition("44", "妊婦健診結果報告書", on), mother, hospital, observations)
}

/// A birth certificate for the municipality that received the notification. The child has no name yet.
pub(super) fn birth_certificate(hospital: &str, number: &str, municipality: &str) -> Value {
    let baby = json!({
        "resourceType": "Patient",
        "identifier": [{ "system": "urn:tsunagi:identifier:municipality", "value": municipality }],
        "gender": "female",
        "_birthDate": { "extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "2026-04-20T03:24:00+09:00",
        }] },
    });
    let composition = json!({
        "type": { "coding": [{ "system": "urn:tsunagi:code:document", "code": "birth_certificate" }] },
        "title": "出生証明書", "date": "2026-04-21",
    });
    let rest = vec![
        json!({
            "resourceType": "RelatedPerson", "patient": { "reference": PATIENT },
            "relationship": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH" }] }],
            "name": [{ "text": "里見帰子" }],
        }),
        json!({
            "resourceType": "Location",
            "type": [{ "coding": [{ "system": "urn:tsunagi:code:place_kind", "code": "hospital" }] }],
        }),
        observation(ITEM, "multiplicity", coded("multiplicity", "single")),
        json!({
            "resourceType": "Practitioner",
            "qualification": [{ "code": { "coding": [{ "system": "urn:tsunagi:code:certificate_signer", "code": "doctor" }] } }],
            "name": [{ "text": "架空一郎" }],
        }),
    ];
    document(number, composition, baby, hospital, rest)
}

/// May this child's subsidy be used today? With what was said at the card reader, if anything was.
pub(super) fn eligibility(recipient: &str, consent: Option<(jiff::Timestamp, jiff::Timestamp)>) -> Value {
    let mut contained = vec![json!({
        "resourceType": "Patient", "id": "patient",
        "identifier": [{ "system": "urn:tsunagi:identifier:recipient", "value": format!("{PAYER}:{recipient}") }],
    })];
    if let Some((given, ends)) = consent {
        contained.push(json!({
            "resourceType": "Consent", "id": "consent", "status": "active",
            "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" }] },
            "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "INFA" }] }],
            "patient": { "reference": "#patient" }, "dateTime": given,
            "provision": { "type": "permit", "period": { "start": given, "end": ends } },
        }));
    }
    json!({
        "resourceType": "CoverageEligibilityRequest", "status": "active", "purpose": ["validation"],
        "contained": contained, "patient": { "reference": "#patient" },
    })
}
