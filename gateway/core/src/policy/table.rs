//! The policy (提供方針) as `mappings/policy/*.toml` states it.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::fault::Bilingual;
use crate::id::{ClassName, KindName};

/// Which way personal data would go, and between whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flow {
    /// An app reads for the citizen.
    AppReads,
    /// A tenant's record goes to the municipality that controls it.
    DeliveryToMunicipality,
    /// A hospital asks a tenant.
    HospitalReads,
    /// A hospital submits to a tenant.
    HospitalReports,
    /// A municipality reads its own tenant.
    MunicipalityReads,
    /// A municipality registers in its own tenant.
    MunicipalityRegisters,
    /// A municipality asks another municipality's tenant.
    MunicipalityRequests,
}

impl Flow {
    /// Every flow, for checks over the whole product of inputs.
    pub const ALL: [Self; 7] = [
        Self::AppReads,
        Self::DeliveryToMunicipality,
        Self::HospitalReads,
        Self::HospitalReports,
        Self::MunicipalityReads,
        Self::MunicipalityRegisters,
        Self::MunicipalityRequests,
    ];
}

/// Purpose of use (利用目的), HL7 v3 PurposeOfUse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Purpose {
    /// Emergency treatment. No shipped policy permits it: break glass is not offered.
    Etreat,
    /// Healthcare operations.
    Hoperat,
    /// Healthcare payment.
    Hpaymt,
    /// Request of the person concerned.
    Patrqt,
    /// Public health.
    Pubhlth,
    /// Treatment.
    Treat,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 6] = [Self::Etreat, Self::Hoperat, Self::Hpaymt, Self::Patrqt, Self::Pubhlth, Self::Treat];

    /// The HL7 code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Etreat => "ETREAT",
            Self::Hoperat => "HOPERAT",
            Self::Hpaymt => "HPAYMT",
            Self::Patrqt => "PATRQT",
            Self::Pubhlth => "PUBHLTH",
            Self::Treat => "TREAT",
        }
    }

    /// Reads the HL7 code.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text)
    }
}

/// The policy of the hub.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its version, kept in every audit event that rests on it.
    pub version: String,
    /// The age at which a proxy's right for a child ends.
    pub proxy_ends_at_age: u8,
    /// How long a consent lasts at the most that a hospital attests at its desk.
    pub attested_consent_hours: u16,
    /// The disclosure classes there are.
    pub class: Vec<ClassRule>,
    /// How each flow treats flag, purpose and legal basis.
    pub flow: Vec<FlowRule>,
    /// What is permitted or forbidden.
    pub rule: Vec<PolicyRule>,
}

/// A disclosure class.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassRule {
    /// Its name.
    pub name: ClassName,
    /// Its name for people.
    pub label: Bilingual,
    /// Left out everywhere once the subject has the non-disclosure flag, even where the flow goes on.
    #[serde(default)]
    pub hidden_by_non_disclosure: bool,
}

/// What holds for a whole flow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowRule {
    /// The flow.
    pub flow: Flow,
    /// The non-disclosure flag stops the whole flow.
    pub non_disclosure_denies: bool,
    /// The caller must state the legal basis, and it must be the clause of the rule.
    #[serde(default)]
    pub basis_must_be_stated: bool,
}

/// One line of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRule {
    /// What audit events call it.
    pub id: String,
    /// The flow it is about.
    pub flow: Flow,
    /// The kinds it is about; empty means every kind.
    #[serde(default)]
    pub kinds: BTreeSet<KindName>,
    /// The purposes it is about; empty means any.
    #[serde(default)]
    pub purposes: BTreeSet<Purpose>,
    /// The classes it is about; empty means every class.
    #[serde(default)]
    pub classes: BTreeSet<ClassName>,
    /// What it says.
    pub effect: Effect,
    /// The statute, e.g. `母子保健法19条の2`; for [`Effect::Statute`] and [`Effect::Never`].
    #[serde(default)]
    pub clause: String,
    /// Only what is named: of a [`Effect::Statute`] the items the request names, of an [`Effect::Consent`] the classes
    /// the directive names.
    #[serde(default)]
    pub only_if_named: bool,
    /// Holds for the person, not for a proxy.
    #[serde(default)]
    pub not_for_proxy: bool,
    /// First day.
    #[serde(default)]
    pub from: Option<Date>,
    /// Last day.
    #[serde(default)]
    pub until: Option<Date>,
}

/// What a rule says of what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A consent directive of the person is needed.
    Consent,
    /// Never, whatever the consent.
    Never,
    /// A statute permits it.
    Statute,
}
