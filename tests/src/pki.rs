//! Certificates and revocation lists of a CA that is not the hub's, right ones and wrong ones.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
    RevocationReason, RevokedCertParams, SanType, SerialNumber,
};
use time::OffsetDateTime;

use crate::Pair;

const DAY: i64 = 86_400;

/// A certificate authority: a root, or one below another.
pub struct Ca {
    params: CertificateParams,
    key: KeyPair,
    /// Its own certificate and those above it but for the root, PEM, as a peer shows them.
    chain: String,
    /// Its own certificate, PEM.
    pub pem: String,
    now: i64,
}

/// What is particular about one certificate.
#[derive(Clone)]
pub struct Leaf {
    /// Its serial number.
    pub serial: u64,
    /// From and until when it holds, in days from now.
    pub days: (i64, i64),
    /// Extended key usages.
    pub purposes: Vec<ExtendedKeyUsagePurpose>,
    /// Key usages.
    pub usages: Vec<KeyUsagePurpose>,
    /// A DNS name.
    pub dns: Option<&'static str>,
}

impl Leaf {
    /// One with nothing wrong.
    pub fn good(serial: u64) -> Self {
        Self {
            serial,
            days: (-1, 30),
            purposes: vec![ExtendedKeyUsagePurpose::ClientAuth],
            usages: vec![KeyUsagePurpose::DigitalSignature],
            dns: None,
        }
    }
}

/// What is particular about one list.
#[derive(Clone)]
pub struct List<'a> {
    /// Its number.
    pub number: u64,
    /// Serial numbers of what is revoked.
    pub revoked: &'a [u64],
    /// From and until when it holds, in seconds from now.
    pub secs: (i64, i64),
}

impl List<'_> {
    /// One in date that revokes nothing.
    pub fn empty() -> Self {
        Self { number: 1, revoked: &[], secs: (-DAY, 30 * DAY) }
    }
}

fn date(unix: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(unix).expect("a date")
}

fn authority(name: &str, below: u8, serial: u64, now: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from(serial));
    (params.not_before, params.not_after) = (date(now - DAY), date(now + 100 * DAY));
    params
}

impl Ca {
    /// A root.
    pub fn root(name: &str, now: i64) -> Self {
        let (params, key) = (authority(name, 8, 1, now), KeyPair::generate().expect("a key"));
        let pem = params.self_signed(&key).expect("a root").pem();
        Self { params, key, chain: String::new(), pem, now }
    }

    /// An authority below this one, which may have so many below itself.
    pub fn below(&self, name: &str, serial: u64, below: u8) -> Self {
        self.constrained(name, serial, below, None)
    }

    /// The same, for certificates with names under one domain only.
    pub fn constrained(&self, name: &str, serial: u64, below: u8, domain: Option<&str>) -> Self {
        let mut params = authority(name, below, serial, self.now);
        params.name_constraints = domain.map(|domain| NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
            excluded_subtrees: Vec::new(),
        });
        let key = KeyPair::generate().expect("a key");
        let pem = params.signed_by(&key, &self.issuer()).expect("an authority").pem();
        Self { params, key, chain: format!("{pem}{}", self.chain), pem, now: self.now }
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// A certificate and its key.
    pub fn leaf(&self, leaf: &Leaf) -> Pair {
        let key = KeyPair::generate().expect("a key");
        Pair { certificate: self.certificate(leaf, &key), key: key.serialize_pem() }
    }

    /// A certificate for a key that is elsewhere, with its chain.
    pub fn certificate(&self, leaf: &Leaf, key: &impl PublicKeyData) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, format!("leaf {}", leaf.serial));
        params.is_ca = IsCa::ExplicitNoCa;
        params.serial_number = Some(SerialNumber::from(leaf.serial));
        params.key_usages.clone_from(&leaf.usages);
        params.extended_key_usages.clone_from(&leaf.purposes);
        params.subject_alt_names =
            leaf.dns.map(|name| SanType::DnsName(name.to_owned().try_into().expect("a name"))).into_iter().collect();
        (params.not_before, params.not_after) =
            (date(self.now + leaf.days.0 * DAY), date(self.now + leaf.days.1 * DAY));
        format!("{}{}", params.signed_by(key, &self.issuer()).expect("a certificate").pem(), self.chain)
    }

    /// A list in PEM.
    pub fn list(&self, list: &List<'_>) -> String {
        self.list_by(list, &self.key)
    }

    /// A list that has this authority's name and the signature of another key.
    pub fn forged_list(&self, list: &List<'_>) -> String {
        self.list_by(list, &KeyPair::generate().expect("a key"))
    }

    fn list_by(&self, list: &List<'_>, key: &KeyPair) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date(self.now - DAY),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date(self.now + list.secs.0),
            next_update: date(self.now + list.secs.1),
            crl_number: SerialNumber::from(list.number),
            issuing_distribution_point: None,
            revoked_certs: list.revoked.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&Issuer::from_params(&self.params, key)).expect("a list").pem().expect("PEM")
    }
}

/// Writes a file and gives its path back.
pub fn put(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, text).expect("written");
    path
}

/// Paths as a setting spells them.
pub fn list_of(paths: &[PathBuf]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| format!("'{}'", path.display())).collect();
    format!("[{}]", quoted.join(", "))
}
