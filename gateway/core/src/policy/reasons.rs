//! A decision in words, and what it rested on: for people who ask afterwards, and to make it again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::fault::Bilingual;
use crate::id::FieldKey;
use crate::registry::Role;

use super::decide::{Acting, DenialReason, ProxyTerm, Question};

/// Who acted, as an audit event may tell it: the last day of a proxy's term would tell the child's birthday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActingAs {
    /// A proxy whose term had not begun or was over.
    EndedProxy,
    /// The organisation itself.
    #[default]
    Organization,
    /// A proxy.
    Proxy,
    /// The subject in person.
    Subject,
}

/// What a decision rested on beside policy and directives, and beside what its event says anyway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The recipient's role.
    pub role: Role,
    /// Who acted.
    #[serde(default, skip_serializing_if = "is_organization")]
    pub acting: ActingAs,
    /// The legal basis that was stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated_basis: Option<String>,
    /// The items that were named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub named_items: BTreeSet<FieldKey>,
}

fn is_organization(acting: &ActingAs) -> bool {
    *acting == ActingAs::Organization
}

impl Inputs {
    /// Of a question.
    pub fn of(question: &Question<'_>) -> Self {
        let acting = match question.acting {
            Acting::Organization => ActingAs::Organization,
            Acting::Proxy(term) if term.holds(question.today) => ActingAs::Proxy,
            Acting::Proxy(_) => ActingAs::EndedProxy,
            Acting::Subject => ActingAs::Subject,
        };
        Self {
            role: question.recipient.role,
            acting,
            stated_basis: question.stated_basis.map(str::to_owned),
            named_items: question.named_items.clone(),
        }
    }

    /// Who acted, for a decision of that same day.
    pub fn acting(&self, today: jiff::civil::Date) -> Acting {
        match self.acting {
            ActingAs::EndedProxy => Acting::Proxy(ProxyTerm { from: today, until: today.yesterday().ok() }),
            ActingAs::Organization => Acting::Organization,
            ActingAs::Proxy => Acting::Proxy(ProxyTerm { from: today, until: None }),
            ActingAs::Subject => Acting::Subject,
        }
    }
}

impl DenialReason {
    /// Why, in words.
    pub fn words(self) -> Bilingual {
        match self {
            Self::BasisNotStated => Bilingual::new(
                "規則が求める法的根拠が示されていない",
                "the legal basis that the rule asks for was not stated",
            ),
            Self::ConsentExpired => Bilingual::new("同意の期限が過ぎている", "the consent has expired"),
            Self::ConsentMissing => Bilingual::new("必要な同意がない", "there is no consent, and one is needed"),
            Self::ConsentWithdrawn => Bilingual::new("同意が撤回されている", "the consent was withdrawn"),
            Self::DirectiveDenies => Bilingual::new("本人が提供を拒んでいる", "the person has denied it"),
            Self::NonDisclosure => Bilingual::new("不開示フラグがある", "the non-disclosure flag is set"),
            Self::NothingPermits => Bilingual::new("許す規則がない", "no rule permits it"),
            Self::ProxyEnded => Bilingual::new("代理の期間でない", "the proxy's term has not begun or is over"),
            Self::StatuteForbids => Bilingual::new("法令が禁じている", "a statute forbids it"),
        }
    }

    /// What would have to change for the answer to be another.
    pub fn remedy(self) -> Bilingual {
        match self {
            Self::BasisNotStated => Bilingual::new(
                "依頼がその規則の条文を法的根拠として示す",
                "the request states the rule's clause as its legal basis",
            ),
            Self::ConsentExpired | Self::ConsentMissing | Self::ConsentWithdrawn => Bilingual::new(
                "本人または代理人が、この相手・種別・目的への同意を新たに与える",
                "the person or a proxy gives a consent for this recipient, kind and purpose",
            ),
            Self::DirectiveDenies => Bilingual::new("本人がその拒否を撤回する", "the person withdraws that denial"),
            Self::NonDisclosure => Bilingual::new(
                "市区町村が不開示フラグを外す。同意では変わらない",
                "the municipality takes the flag off; no consent changes it",
            ),
            Self::NothingPermits => Bilingual::new(
                "この流れ・種別・目的を許す規則を方針に加える",
                "the policy gets a rule for this flow, kind and purpose",
            ),
            Self::ProxyEnded => Bilingual::new(
                "市区町村が期間内の代理として改めて結び付けるか、本人が自ら求める",
                "the municipality links a proxy whose term runs, or the person asks in person",
            ),
            Self::StatuteForbids => Bilingual::new(
                "法令と方針の規則が変わる。同意では変わらない",
                "the law, and with it the rule; no consent changes it",
            ),
        }
    }
}
