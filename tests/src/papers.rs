//! What partners send, as real systems write it. Everyone in it is invented.

use jiff::civil::Date;
use serde_json::{Value, json};
use tsunagi_core::identifier::{modulus_10, my_number};

/// 公費負担者番号
pub const PAYER: &str = "81440018";
/// 医療機関コード of `hospital-oita`
pub const HOSPITAL_OITA: &str = "4419929999";
/// 医療機関コード of `hospital-hakodate`
pub const HOSPITAL_HAKODATE: &str = "0119929990";
/// 団体コード of the tenant `oita`
pub const OITA: &str = "442011";

/// `patient.identifier` of FHIR searches for a recipient.
pub const RECIPIENT_SYSTEM: &str = "urn:tsunagi:identifier:recipient";

/// One invented person.
#[derive(Debug, Clone)]
pub struct Person {
    /// 氏名
    pub name: String,
    /// 氏名カナ
    pub kana: String,
    /// 生年月日
    pub born: Date,
    /// 住所
    pub address: String,
    /// 公費受給者番号
    pub recipient: String,
    /// 宛名番号
    pub resident: String,
    /// 個人番号, with a true check digit
    pub my_number: String,
    /// 母子健康手帳番号
    pub handbook: String,
    /// 不開示
    pub is_not_disclosed: bool,
    /// First and last day of the right to the subsidy
    pub valid: (Date, Date),
}

impl Person {
    /// Person number `n`, always the same one, a child of two whose right holds.
    pub fn number(n: usize, today: Date) -> Self {
        let days = |count: i32| today.saturating_add(jiff::Span::new().days(count));
        let recipient = format!("{:06}", 7_000 + n);
        let number = format!("{:011}", 31_000_000_000_u64 + n as u64 * 104_729);
        let digit = |body: &str, digit: Option<u8>| format!("{body}{}", digit.expect("digits"));
        Self {
            name: format!("試験{}子", KANJI[n % KANJI.len()]),
            kana: format!("シケン{}コ", KANA[n % KANA.len()]),
            born: days(-800 - i32::try_from(n).expect("a small number")),
            address: format!("大分県大分市試験町{}丁目", n + 1),
            recipient: digit(&recipient, modulus_10(&recipient)),
            resident: format!("T{n:09}"),
            my_number: digit(&number, my_number(&number)),
            handbook: format!("2026-{n:06}"),
            is_not_disclosed: false,
            valid: (days(-30), days(300)),
        }
    }

    /// The value of `patient.identifier`: payer and recipient number.
    pub fn joined(&self) -> String {
        format!("{PAYER}:{}", self.recipient)
    }

    /// What must never be seen outside the right hands.
    pub fn secrets(&self) -> Vec<&str> {
        vec![&self.name, &self.kana, &self.address, &self.my_number, &self.recipient, &self.resident, &self.handbook]
    }
}

const KANJI: [&str; 6] = ["梅", "桜", "菊", "楓", "椿", "藤"];
const KANA: [&str; 6] = ["ウメ", "サクラ", "キク", "カエデ", "ツバキ", "フジ"];

/// One row of a PMH registration of entitlements.
pub fn entitlement(person: &Person) -> Value {
    json!({
        "myNumber": person.my_number,
        "basicFiveInfo": {
            "name": person.name, "nameKana": person.kana, "address": person.address,
            "dateOfBirth": person.born, "sex": "2",
        },
        "isNotDisclosed": person.is_not_disclosed,
        "orgSpecificCertificateTypeId": "KODOMO01",
        "certificationName": "子ども医療費受給資格者証",
        "medicalSubsidyInsurerNumber": PAYER,
        "medicalSubsidyRecipientNumber": person.recipient,
        "isAlwaysReimbursement": "0",
        "validFrom": person.valid.0,
        "validTo": person.valid.1,
    })
}

/// Header of an entitlement file in the modern layout.
pub const MODERN_HEADER: &str = "個人番号,自治体別本人キー,公費負担者番号,公費受給者番号,氏名,氏名カナ,生年月日,性別,不開示フラグ,市町村コード,機関別受給者証種別ID,受給者証名,常に償還払い,有効開始日,有効終了日,削除フラグ";

/// One row under [`MODERN_HEADER`], for the municipality `code`.
pub fn modern_row(person: &Person, code: &str) -> String {
    let Person { name, kana, born, recipient, resident, my_number, valid: (from, until), .. } = person;
    let flag = u8::from(person.is_not_disclosed);
    format!(
        "{my_number},{resident},{PAYER},{recipient},{name},{kana},{born},2,{flag},{code},KODOMO01,子ども医療費受給資格者証,0,{from},{until},0"
    )
}

/// A vaccination as a municipality registers it, PMH style, for a person it knows by 個人番号 and 宛名番号.
pub fn registered_vaccination(person: &Person, code: &str, number: &str, on: Date) -> Value {
    json!({
        "myNumber": person.my_number,
        "municipalityIdentityKey": person.resident,
        "issuer": { "institutionCode": HOSPITAL_OITA },
        "documentNumber": number,
        "municipalityCode": code,
        "outcome": "done",
        "vaccinatedOn": on,
        "vaccine": { "kind": "mr" },
        "dose": { "number": 1 },
        "questionnaire": { "allergy": true },
    })
}

fn patient(person: &Person, code: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "identifier": [
            { "system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicPayerNumber", "value": PAYER },
            { "system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicInsuredPersonNumber", "value": person.recipient },
            { "system": "urn:tsunagi:identifier:municipality", "value": code },
        ],
        "name": [{
            "extension": [{ "url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", "valueCode": "IDE" }],
            "text": person.name,
        }],
        "birthDate": person.born,
        "address": [{ "text": person.address }],
    })
}

fn organization(code: &str) -> Value {
    json!({
        "resourceType": "Organization",
        "identifier": [
            { "system": "urn:tsunagi:identifier:role", "value": "issuer" },
            { "system": "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no", "value": code },
        ],
    })
}

fn with(mut value: Value, name: &str, member: Value) -> Value {
    value[name] = member;
    value
}

/// A vaccination as a hospital reports it to the municipality `code`.
pub fn immunization(person: &Person, hospital: &str, code: &str, number: &str, on: Date) -> Value {
    json!({
        "resourceType": "Immunization",
        "contained": [
            with(patient(person, code), "id", json!("p")),
            with(organization(hospital), "id", json!("o")),
        ],
        "identifier": [{ "system": "urn:tsunagi:identifier:document", "value": number }],
        "status": "completed",
        "vaccineCode": { "coding": [{ "system": "urn:tsunagi:code:vaccine_kind", "code": "mr" }] },
        "patient": { "reference": "#p" },
        "occurrenceDateTime": on,
        "lotNumber": "TEST-1",
        "performer": [{ "actor": { "reference": "#o", "type": "Organization" } }],
        "protocolApplied": [{ "doseNumberPositiveInt": 1 }],
    })
}

/// A batch of Immunizations.
pub fn batch(resources: &[Value]) -> Value {
    let entry = |resource| json!({ "resource": resource, "request": { "method": "POST", "url": "Immunization" } });
    json!({ "resourceType": "Bundle", "type": "batch", "entry": resources.iter().map(entry).collect::<Vec<_>>() })
}

const JLAC10: &str = "http://medis.or.jp/CodeSystem/master-JLAC10-17digits";
const ITEM: &str = "urn:tsunagi:item";

fn observation(code: (&str, &str), name: &str, value: Value) -> Value {
    json!({
        "resourceType": "Observation", "status": "final",
        "code": { "coding": [{ "system": code.0, "code": code.1 }] }, name: value,
    })
}

fn item(code: &str, system: &str, value: &str) -> Value {
    let coding = json!({ "coding": [{ "system": format!("urn:tsunagi:code:{system}"), "code": value }] });
    observation((ITEM, code), "valueCodeableConcept", coding)
}

fn measured(code: &str, value: f64, unit: &str) -> Value {
    let quantity = json!({ "value": value, "system": "http://unitsofmeasure.org", "code": unit });
    observation((JLAC10, code), "valueQuantity", quantity)
}

fn document(number: &str, composition: Value, patient: Value, hospital: &str, rest: Vec<Value>) -> Value {
    let url = |n: u8| format!("urn:uuid:0b5c1f0a-0000-4000-8000-00000000000{n}");
    let composition = with(composition, "subject", json!({ "reference": url(2) }));
    let composition = with(composition, "author", json!([{ "reference": url(3) }]));
    let mut entries = vec![
        json!({ "fullUrl": url(1), "resource": composition }),
        json!({ "fullUrl": url(2), "resource": patient }),
        json!({ "fullUrl": url(3), "resource": organization(hospital) }),
    ];
    entries.extend(rest.into_iter().map(|resource| json!({ "resource": resource })));
    json!({
        "resourceType": "Bundle", "type": "document", "entry": entries,
        "identifier": { "system": "urn:tsunagi:identifier:document", "value": number },
    })
}

fn checkup(category: &str, on: Date) -> Value {
    json!({
        "resourceType": "Composition", "status": "final", "title": "健診結果報告書", "date": on,
        "type": { "coding": [{ "system": "http://jpfhir.jp/fhir/Common/CodeSystem/doc-typecodes", "code": "53576-5" }] },
        "category": [{ "coding": [{ "system": "urn:oid:2.16.840.1.113883.2.2.1.6.1001", "code": category }] }],
    })
}

/// An infant checkup.
pub fn infant_checkup(person: &Person, hospital: &str, number: &str, on: Date) -> Value {
    let rest = vec![
        item("checkup.type", "infant_checkup_type", "months_18"),
        item("judgement", "judgement", "no_findings"),
        measured("9N001000000000001", 81.5, "cm"),
    ];
    document(number, checkup("43", on), patient(person, OITA), hospital, rest)
}

/// A maternal checkup with items of every disclosure class.
pub fn maternal_checkup(person: &Person, hospital: &str, number: &str, on: Date) -> Value {
    let mother = json!({
        "resourceType": "Patient",
        "identifier": [
            { "system": "urn:tsunagi:identifier:maternal-handbook", "value": person.handbook },
            { "system": "urn:tsunagi:identifier:municipality", "value": OITA },
        ],
    });
    let rest = vec![
        measured("9N006000000000001", 58.25, "kg"),
        observation((ITEM, "smoking"), "valueBoolean", json!(true)),
        observation(
            (JLAC10, "5F016141002399811"),
            "valueCodeableConcept",
            json!({ "coding": [{ "system": "urn:tsunagi:code:test_result", "code": "negative" }] }),
        ),
    ];
    document(number, checkup("44", on), mother, hospital, rest)
}

/// The header of the older system's file of maternal checkups, and one row with items of every disclosure class.
pub fn maternal_csv(person: &Person, number: &str) -> String {
    let header = "宛名番号,手帳番号,漢字氏名,ｶﾅ氏名,生年月日,性別,医機ｺｰﾄﾞ,整理番号,団体ｺｰﾄﾞ,健診回数,診察月日,妊娠週数,妊娠日数,体重,収縮期血圧,拡張期血圧,妊娠高血圧症候群,HBs抗原,梅毒,HIV抗体,喫煙,飲酒,流産回数,死産回数";
    let Person { name, resident, handbook, born, .. } = person;
    let row = format!(
        "{resident},{handbook},{name},ｼｹﾝ,{born},2,{HOSPITAL_OITA},{number},{OITA},5,R08.05.12,20,3,54.2,118,72,0,1,1,1,1,1,2,1"
    );
    format!("{header}\r\n{row}\r\n")
}

/// A birth certificate for the municipality that received the notification.
pub fn birth_certificate(hospital: &str, number: &str, municipality: &str) -> Value {
    let composition = json!({
        "resourceType": "Composition", "status": "final", "title": "出生証明書", "date": "2026-04-21",
        "type": { "coding": [{ "system": "urn:tsunagi:code:document", "code": "birth_certificate" }] },
    });
    let baby = json!({
        "resourceType": "Patient", "gender": "male",
        "identifier": [{ "system": "urn:tsunagi:identifier:municipality", "value": municipality }],
        "_birthDate": { "extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "2026-04-20T03:24:00+09:00",
        }] },
    });
    let coded = |system: &str, code: &str| json!({ "coding": [{ "system": system, "code": code }] });
    let rest = vec![
        json!({
            "resourceType": "RelatedPerson", "name": [{ "text": "試験花" }],
            "relationship": [coded("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "MTH")],
        }),
        json!({ "resourceType": "Location", "type": [coded("urn:tsunagi:code:place_kind", "hospital")] }),
        item("multiplicity", "multiplicity", "single"),
        json!({
            "resourceType": "Practitioner", "name": [{ "text": "試験一郎" }],
            "qualification": [{ "code": coded("urn:tsunagi:code:certificate_signer", "doctor") }],
        }),
    ];
    document(number, composition, baby, hospital, rest)
}

/// A consent said at the card reader, from one moment to another.
pub fn consent(given: jiff::Timestamp, ends: jiff::Timestamp) -> Value {
    json!({
        "resourceType": "Consent", "status": "active", "dateTime": given,
        "scope": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy" }] },
        "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "INFA" }] }],
        "provision": { "type": "permit", "period": { "start": given, "end": ends } },
    })
}

/// A consent that stands on its own, about the person that payer and recipient number name.
pub fn consent_of(joined: &str, given: jiff::Timestamp, ends: jiff::Timestamp) -> Value {
    consent_about(RECIPIENT_SYSTEM, joined, given, ends)
}

/// A consent that stands on its own, about the person that an identifier of any system names.
pub fn consent_about(system: &str, value: &str, given: jiff::Timestamp, ends: jiff::Timestamp) -> Value {
    with(consent(given, ends), "patient", json!({ "identifier": { "system": system, "value": value } }))
}

/// May this person's subsidy be used today? With the consent that came along, if one did.
pub fn eligibility(joined: &str, consent: Option<Value>) -> Value {
    let mut contained = vec![json!({
        "resourceType": "Patient", "id": "p", "identifier": [{ "system": RECIPIENT_SYSTEM, "value": joined }],
    })];
    contained
        .extend(consent.map(|consent| with(with(consent, "id", json!("c")), "patient", json!({ "reference": "#p" }))));
    json!({
        "resourceType": "CoverageEligibilityRequest", "status": "active", "purpose": ["validation"],
        "contained": contained, "patient": { "reference": "#p" },
    })
}

/// CP932 bytes of a text.
pub fn cp932(text: &str) -> Vec<u8> {
    let (bytes, _, unmappable) = encoding_rs::SHIFT_JIS.encode(text);
    assert!(!unmappable, "a character that CP932 has not");
    bytes.into_owned()
}
