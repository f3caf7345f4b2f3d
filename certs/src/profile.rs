//! What the five kinds of certificate contain.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    SanType,
};
use rustls_pki_types::ServerName;
use time::OffsetDateTime;

use crate::constraints;
use crate::error::CertsError;
use crate::ledger::Usage;
use crate::peer::{PARTICIPANT_URN, is_participant_id};
use crate::serial::Serial;

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// Certificates and revocation lists begin five minutes before they are made: they are often used within seconds, by
/// or towards a machine whose clock is a little behind, and there they would not be valid yet.
pub(crate) const BACKDATE: i64 = 300;

/// Longest common name, in characters (`ub-common-name`, RFC 5280 appendix A.1).
const COMMON_NAME_LIMIT: usize = 64;

/// From when to when a certificate is valid, in unix seconds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    /// `notBefore`.
    pub(crate) from: i64,
    /// `notAfter`.
    pub(crate) until: i64,
}

impl Validity {
    /// `days` from now, beginning [`BACKDATE`] before it.
    pub(crate) fn starting(now: i64, days: u32) -> Result<Self, CertsError> {
        let until = now.checked_add(i64::from(days) * DAY).ok_or(CertsError::Time)?;
        Ok(Self { from: now.checked_sub(BACKDATE).ok_or(CertsError::Time)?, until })
    }
}

/// What is particular to one certificate below an issuing authority.
pub(crate) struct Leaf {
    /// For whom: TLS clients or TLS servers.
    pub(crate) usage: Usage,
    /// The participant id alone, or the server's names.
    pub(crate) names: Vec<String>,
    alt_names: Vec<SanType>,
}

impl Leaf {
    /// A certificate that names a participant.
    pub(crate) fn participant(id: &str) -> Result<Self, CertsError> {
        if !is_participant_id(id) {
            return Err(CertsError::ParticipantId);
        }
        let uri = format!("{PARTICIPANT_URN}{id}");
        Ok(Self {
            usage: Usage::Participant,
            names: vec![id.to_owned()],
            alt_names: vec![SanType::URI(uri.try_into()?)],
        })
    }

    /// A certificate for a server under DNS names and IP addresses. Names are taken in lower case, each once.
    pub(crate) fn server(names: &[String]) -> Result<Self, CertsError> {
        let mut leaf = Self { usage: Usage::Server, names: Vec::new(), alt_names: Vec::new() };
        for name in names {
            let name = name.to_ascii_lowercase();
            if !leaf.names.contains(&name) {
                leaf.alt_names.push(server_name(&name)?);
                leaf.names.push(name);
            }
        }
        if leaf.names.is_empty() { Err(CertsError::ServerName) } else { Ok(leaf) }
    }

    /// Where people read the name. Some verifiers take a common name with a dot for a DNS name, which the participants'
    /// authority may not certify; such an id stands as an organisation.
    fn subject_part(&self, name: &str) -> DnType {
        match self.usage {
            Usage::Participant if name.contains('.') => DnType::OrganizationName,
            Usage::Participant | Usage::Server => DnType::CommonName,
        }
    }

    /// The certificate's contents but for its key.
    pub(crate) fn params(&self, serial: Serial, validity: Validity) -> Result<CertificateParams, CertsError> {
        let mut subject = DistinguishedName::new();
        // A longer name is left out, not cut: it is in the alternative names whole, and a cut one may be another's.
        if let Some(name) = self.names.first().filter(|name| name.len() <= COMMON_NAME_LIMIT) {
            subject.push(self.subject_part(name), name);
        }
        let mut params = dated(subject, serial, validity)?;
        params.subject_alt_names.clone_from(&self.alt_names);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![extended(self.usage)];
        Ok(params)
    }
}

/// Contents of the root: any usage, at most one authority below it.
pub(crate) fn root(hub_name: &str, serial: Serial, validity: Validity) -> Result<CertificateParams, CertsError> {
    authority(hub_name, "root CA", 1, serial, validity)
}

/// Contents of an issuing authority: no authority below it, one usage, and no names of the other authority's kind.
pub(crate) fn issuing(
    hub_name: &str,
    usage: Usage,
    serial: Serial,
    validity: Validity,
) -> Result<CertificateParams, CertsError> {
    let role = match usage {
        Usage::Participant => "participant CA",
        Usage::Server => "server CA",
    };
    let mut params = authority(hub_name, role, 0, serial, validity)?;
    params.extended_key_usages = vec![extended(usage)];
    params.custom_extensions = vec![constraints::excluding_names_of_the_other(usage)];
    Ok(params)
}

fn extended(usage: Usage) -> ExtendedKeyUsagePurpose {
    match usage {
        Usage::Participant => ExtendedKeyUsagePurpose::ClientAuth,
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
    }
}

/// A date as certificates hold it. Only from 1970 to 9999: before there is no hub, and X.509 ends there.
pub(crate) fn date(unix: i64) -> Result<OffsetDateTime, CertsError> {
    OffsetDateTime::from_unix_timestamp(unix).ok().filter(|_| unix >= 0).ok_or(CertsError::Time)
}

/// `YYYY-MM-DD` in UTC for error texts.
pub(crate) fn day(unix: i64) -> String {
    date(unix).map_or_else(|_| "an unknown date".to_owned(), |date| date.date().to_string())
}

fn authority(
    hub_name: &str,
    role: &str,
    path_length: u8,
    serial: Serial,
    validity: Validity,
) -> Result<CertificateParams, CertsError> {
    let length = hub_name.chars().count();
    if hub_name.trim().is_empty() || length > 48 || hub_name.chars().any(char::is_control) {
        return Err(CertsError::HubName);
    }
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, hub_name);
    // No two authorities share a name, not even of one hub: verifiers choose revocation lists by the issuer's name, and
    // while an old authority gives way to a new one both must be found.
    subject.push(DnType::OrganizationalUnitName, serial.to_string());
    subject.push(DnType::CommonName, format!("{hub_name} {role}"));
    let mut params = dated(subject, serial, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn dated(subject: DistinguishedName, serial: Serial, validity: Validity) -> Result<CertificateParams, CertsError> {
    let mut params = CertificateParams::default();
    params.not_before = date(validity.from)?;
    params.not_after = date(validity.until)?;
    params.serial_number = Some(serial.number());
    params.distinguished_name = subject;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn server_name(name: &str) -> Result<SanType, CertsError> {
    match ServerName::try_from(name) {
        Ok(ServerName::DnsName(dns)) if !name.ends_with('.') => Ok(SanType::DnsName(dns.as_ref().try_into()?)),
        Ok(ServerName::IpAddress(ip)) => Ok(SanType::IpAddress(IpAddr::from(ip))),
        _ => Err(CertsError::ServerName),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_names_are_checked_and_taken_once() {
        let names = |list: &[&str]| Leaf::server(&list.iter().map(ToString::to_string).collect::<Vec<_>>());
        let leaf = names(&["Hub.Example.jp", "hub.example.jp", "192.0.2.7", "2001:db8::1"]).unwrap();
        assert_eq!(leaf.names, ["hub.example.jp", "192.0.2.7", "2001:db8::1"]);
        assert_eq!(leaf.alt_names.len(), 3);
        for bad in ["", "*.example.jp", "hub.example.jp.", "hub example", "hub.example.jp:443", "つなぎ.jp"] {
            assert!(matches!(names(&["hub.example.jp", bad]), Err(CertsError::ServerName)), "{bad}");
        }
        assert!(matches!(names(&[]), Err(CertsError::ServerName)));
    }

    #[test]
    fn participant_ids_are_checked() {
        for bad in ["", "Clinic", "clinic a", "-clinic", "clinic/a", &"a".repeat(97)] {
            assert!(matches!(Leaf::participant(bad), Err(CertsError::ParticipantId)), "{bad}");
        }
        assert_eq!(Leaf::participant("clinic-a").unwrap().names, ["clinic-a"]);
    }

    #[test]
    fn hub_names_fit_a_certificate() {
        let serial = Serial::draw().unwrap();
        let validity = Validity::starting(1_800_000_000, 1).unwrap();
        for bad in ["", " ", "a\nb", &"あ".repeat(49)] {
            assert!(matches!(root(bad, serial, validity), Err(CertsError::HubName)), "{bad:?}");
        }
        assert!(root(&"あ".repeat(48), serial, validity).is_ok());
    }

    #[test]
    fn dates_outside_x509_are_refused() {
        for unix in [i64::MIN, -1, 253_402_300_800, i64::MAX] {
            assert!(matches!(date(unix), Err(CertsError::Time)), "{unix}");
        }
        assert_eq!(day(253_402_300_799), "9999-12-31");
    }
}
