//! Identifiers. Each is parsed once, where it enters, and is right from then on.
//!
//! Names (`TenantId`, `KindName` …) are chosen by people and come from files; marks (`ExchangeId`,
//! `SubjectKey` …) are made by the gateway from a time and randomness that are handed in.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not an identifier. Holds the name of the type only, never the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {0}")]
pub struct IdFault(pub &'static str);

/// Randomness for one mark.
pub type Entropy = [u8; 10];

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $extra:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses 1 to 96 characters of `a-z 0-9 - _ .` (and `/` in a layout), the first a letter or digit.
            pub fn parse(text: &str) -> Result<Self, IdFault> {
                let extra: &str = $extra;
                let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                let rest = text.chars().all(|c| {
                    c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.') || extra.contains(c)
                });
                if first && rest && text.len() <= 96 {
                    Ok(Self(text.into()))
                } else {
                    Err(IdFault(stringify!($name)))
                }
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        text_forms!($name);
    };
}

macro_rules! mark {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Makes a mark that sorts by time: 48 bits of milliseconds, then 80 random bits.
            pub fn new(at: Timestamp, entropy: Entropy) -> Self {
                Self(spell($prefix, at, entropy).into())
            }

            /// Parses the prefix and 32 lower-case hexadecimal digits.
            pub fn parse(text: &str) -> Result<Self, IdFault> {
                match text.strip_prefix($prefix) {
                    Some(rest) if is_hex32(rest) => Ok(Self(text.into())),
                    _ => Err(IdFault(stringify!($name))),
                }
            }

            /// The mark as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        text_forms!($name);
    };
}

macro_rules! text_forms {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        // Written and read where the text lies: a record has an identifier for each of its fields.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Spelled;
                impl Visitor<'_> for Spelled {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", stringify!($name)))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Spelled)
            }
        }
        impl std::str::FromStr for $name {
            type Err = IdFault;
            fn from_str(text: &str) -> Result<Self, IdFault> {
                Self::parse(text)
            }
        }
    };
}

name!(
    /// One municipality's data domain (テナント).
    TenantId, "");
name!(
    /// An organisation with a certificate (参加機関).
    ParticipantId, "");
name!(
    /// One configured one-way path between a participant and a tenant (チャネル).
    ChannelId, "");
name!(
    /// A server to push to (エンドポイント).
    EndpointId, "");
name!(
    /// The name of what a record is (記録種別).
    KindName, "");
name!(
    /// A field of a kind; dots group related fields.
    FieldKey, "");
name!(
    /// A disclosure class (開示区分); declared in the policy, not in code.
    ClassName, "");
name!(
    /// A layout table, `format/name` (項目対応表).
    LayoutId, "/");
name!(
    /// A wire format (電文形式), also the adapter's name.
    FormatName, "");
name!(
    /// A system of subject identifiers, declared in `mappings/identifiers.toml`.
    IdentifierSystem, "");
name!(
    /// A code system or code table.
    CodeTableName, "");

mark!(
    /// One request of a peer with its rows (連携); the id everyone quotes.
    ExchangeId, "ex-");
mark!(
    /// A stored record, the same across its versions.
    RecordId, "rc-");
mark!(
    /// Our opaque identifier of a subject inside one tenant (対象者キー).
    SubjectKey, "su-");
mark!(
    /// The obligation to hand one record to one destination (配信).
    DeliveryId, "dl-");
mark!(
    /// A consent directive (同意情報).
    DirectiveId, "cd-");
mark!(
    /// One lease over deliveries: what a mailbox answer is acknowledged by.
    BatchId, "bt-");

impl TenantId {
    /// The log of what concerns no municipality: refused peers, registry changes, certificates.
    pub fn hub() -> Self {
        Self("hub".into())
    }

    /// True for [`TenantId::hub`], which holds an audit log and no records.
    pub fn is_hub(&self) -> bool {
        self.as_str() == "hub"
    }
}

fn spell(prefix: &str, at: Timestamp, entropy: Entropy) -> String {
    use fmt::Write;
    let millis = u64::try_from(at.as_millisecond()).unwrap_or(0) & 0xFFFF_FFFF_FFFF;
    let mut text = String::with_capacity(prefix.len() + 32);
    text.push_str(prefix);
    // Writing into a String cannot fail.
    let _infallible = write!(text, "{millis:012x}");
    for byte in entropy {
        let _infallible = write!(text, "{byte:02x}");
    }
    text
}

fn is_hex32(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_unless_lower_case_and_short() {
        for (text, good) in [
            ("aoi", true),
            ("131016", true),
            ("a.b-c_d", true),
            ("", false),
            ("-a", false),
            ("Aoi", false),
            ("a/b", false),
            ("あおい", false),
            (&"a".repeat(97), false),
        ] {
            assert_eq!(TenantId::parse(text).is_ok(), good, "{text}");
        }
        assert!(LayoutId::parse("fhir_r4/vaccination").is_ok());
    }

    #[test]
    fn marks_sort_by_time_and_come_back_from_text() {
        let early = ExchangeId::new(Timestamp::from_second(1).expect("in range"), [255; 10]);
        let late = ExchangeId::new(Timestamp::from_second(2).expect("in range"), [0; 10]);
        assert!(early < late);
        assert_eq!(ExchangeId::parse(early.as_str()), Ok(early.clone()));
        assert!(ExchangeId::parse("ex-1").is_err());
        assert!(SubjectKey::parse(early.as_str()).is_err());
    }
}
