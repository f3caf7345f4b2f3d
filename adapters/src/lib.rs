//! Adapters: pure translators between the bytes of one wire format and documents. An adapter knows bytes and structure,
//! not fields: which path is which field stands in the layouts, and an adapter never depends on them. It does no I/O.

#[cfg(test)]
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-municipal-csv", feature = "adapter-pmh-api"))]
mod contract;
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-municipal-csv", feature = "adapter-pmh-api"))]
mod fault;
#[cfg(feature = "adapter-fhir-r4")]
mod fhir_r4;
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-municipal-csv", feature = "adapter-pmh-api"))]
mod json;
#[cfg(feature = "adapter-municipal-csv")]
mod municipal_csv;
mod plug;
#[cfg(feature = "adapter-pmh-api")]
mod pmh_api;
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-municipal-csv", feature = "adapter-pmh-api"))]
mod reply;

pub use plug::{Adapter, Envelope, Payload, PayloadFault, Reply, Rows, Shape, Source, Unmappable};
use tsunagi_core::id::FormatName;

/// The one registry of wire formats. A format that is not compiled in is named with its feature, an unknown one is
/// answered with those there are.
pub fn adapter(format: &FormatName) -> Result<&'static dyn Adapter, String> {
    match format.as_str() {
        #[cfg(feature = "adapter-fhir-r4")]
        "fhir_r4" => Ok(&fhir_r4::FhirR4),
        #[cfg(not(feature = "adapter-fhir-r4"))]
        "fhir_r4" => Err("fhir_r4 is not compiled in: build with the feature adapter-fhir-r4".to_owned()),
        #[cfg(feature = "adapter-municipal-csv")]
        "municipal_csv" => Ok(&municipal_csv::MunicipalCsv),
        #[cfg(not(feature = "adapter-municipal-csv"))]
        "municipal_csv" => {
            Err("municipal_csv is not compiled in: build with the feature adapter-municipal-csv".to_owned())
        }
        #[cfg(feature = "adapter-pmh-api")]
        "pmh_api" => Ok(&pmh_api::PmhApi),
        #[cfg(not(feature = "adapter-pmh-api"))]
        "pmh_api" => Err("pmh_api is not compiled in: build with the feature adapter-pmh-api".to_owned()),
        other => Err(format!("unknown wire format {other}; known are fhir_r4, municipal_csv, pmh_api")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_format_is_here_or_names_its_feature() {
        for (name, feature, is_on) in [
            ("fhir_r4", "adapter-fhir-r4", cfg!(feature = "adapter-fhir-r4")),
            ("municipal_csv", "adapter-municipal-csv", cfg!(feature = "adapter-municipal-csv")),
            ("pmh_api", "adapter-pmh-api", cfg!(feature = "adapter-pmh-api")),
        ] {
            match adapter(&FormatName::parse(name).unwrap()) {
                Ok(_) => assert!(is_on, "{name}"),
                Err(words) => assert!(!is_on && words.contains(feature), "{words}"),
            }
        }
        let words = adapter(&FormatName::parse("hl7_v2").unwrap()).err().unwrap();
        assert!(words.contains("fhir_r4, municipal_csv, pmh_api"), "{words}");
    }
}
