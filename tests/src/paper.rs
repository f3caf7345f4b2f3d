//! What partners send in the tests of durability and delivery: as many children and records as are needed, all invented.

use serde_json::{Value, json};
use tsunagi_core::identifier;

/// 公費負担者番号 of all children, with its check digit.
pub const PAYER: &str = "81440018";
/// 医療機関コード that the demo's registry gives to `hospital-oita`.
pub const HOSPITAL: &str = "4419929999";
/// `Content-Type` of FHIR.
pub const FHIR: (&str, &str) = ("Content-Type", "application/fhir+json");
/// `Content-Type` of PMH.
pub const JSON: (&str, &str) = ("Content-Type", "application/json");
/// Where entitlements are registered.
pub const REGISTRATION: &str = "/pmh/v1/medicalSubsidy/registrationTasks";

/// 公費受給者番号 of a child: its number and a check digit. The demo's children are those from 100 on.
pub fn recipient(child: u32) -> String {
    let body = format!("{child:06}");
    let digit = identifier::modulus_10(&body).unwrap_or_default();
    format!("{body}{digit}")
}

/// A PMH registration of entitlements, which makes these children known to the municipality.
pub fn entitlements(children: impl IntoIterator<Item = u32>) -> String {
    let rows: Vec<Value> = children.into_iter().map(entitlement).collect();
    Value::Array(rows).to_string()
}

fn entitlement(child: u32) -> Value {
    json!({
        "orgSpecificCertificateTypeId": "KODOMO01",
        "basicFiveInfo": {
            "name": format!("検証{child}"), "nameKana": "ケンショウ", "address": "大分県大分市架空町7番",
            "dateOfBirth": "2023-04-05", "sex": "1",
        },
        "isNotDisclosed": false,
        "medicalSubsidyInsurerNumber": PAYER,
        "certificationName": "子ども医療費受給資格者証",
        "medicalSubsidyRecipientNumber": recipient(child),
        "isAlwaysReimbursement": "0",
        "validFrom": "2026-01-01",
        "validTo": "2099-12-31",
    })
}

/// A vaccination of a child, as the hospital of Oita reports it under its own document number.
pub fn immunization(child: u32, number: &str) -> String {
    let patient = json!({
        "resourceType": "Patient", "id": "patient",
        "identifier": [
            { "system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicPayerNumber", "value": PAYER },
            { "system": "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicInsuredPersonNumber", "value": recipient(child) },
            { "system": "urn:tsunagi:identifier:municipality", "value": "442011" },
        ],
    });
    let institution = json!({
        "resourceType": "Organization", "id": "institution",
        "identifier": [
            { "system": "urn:tsunagi:identifier:role", "value": "issuer" },
            { "system": "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no", "value": HOSPITAL },
        ],
    });
    json!({
        "resourceType": "Immunization",
        "meta": { "profile": ["http://jpfhir.jp/fhir/core/StructureDefinition/JP_Immunization"] },
        "contained": [patient, institution],
        "identifier": [{ "system": "urn:tsunagi:identifier:document", "value": number }],
        "status": "completed",
        "vaccineCode": { "coding": [{ "system": "urn:tsunagi:code:vaccine_kind", "code": "mr" }] },
        "patient": { "reference": "#patient" },
        "occurrenceDateTime": "2026-05-01",
        "performer": [{ "actor": { "reference": "#institution", "type": "Organization" } }],
        "protocolApplied": [{ "doseNumberPositiveInt": 1 }],
    })
    .to_string()
}
