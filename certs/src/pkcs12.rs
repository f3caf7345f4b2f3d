//! Certificate, chain and key in one file under a password: PKCS#12 (RFC 7292), as desks and browsers import it.
//!
//! Two forms. The modern one (AES-256, HMAC-SHA-256) opens in Windows 10 1809 and later, macOS 15, Java 8u301 and
//! OpenSSL 1.1; the old one (triple DES, HMAC-SHA-1) in what came before. The old one protects the key by little more
//! than its password, so it is made only where it is asked for.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use aws_lc_rs::hmac;
use des::TdesEde3;
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};
use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::parse_x509_certificate;
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag};
use zeroize::Zeroizing;

use crate::error::CertsError;
use crate::pbes::{self, Sealed, drawn, oid};
use crate::secret::{Passphrase, decrypt_key};

const DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 1];
const ENCRYPTED_DATA: &[u64] = &[1, 2, 840, 113_549, 1, 7, 6];
const SHROUDED_KEY_BAG: &[u64] = &[1, 2, 840, 113_549, 1, 12, 10, 1, 2];
const CERTIFICATE_BAG: &[u64] = &[1, 2, 840, 113_549, 1, 12, 10, 1, 3];
const X509_CERTIFICATE: &[u64] = &[1, 2, 840, 113_549, 1, 9, 22, 1];
const FRIENDLY_NAME: &[u64] = &[1, 2, 840, 113_549, 1, 9, 20];
const LOCAL_KEY_ID: &[u64] = &[1, 2, 840, 113_549, 1, 9, 21];
const SHA_AND_TRIPLE_DES: &[u64] = &[1, 2, 840, 113_549, 1, 12, 1, 3];
const SHA_256: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
const SHA_1: &[u64] = &[1, 3, 14, 3, 2, 26];

/// How a bundle is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleForm {
    /// Triple DES and HMAC-SHA-1, for software from before 2018.
    Legacy,
    /// AES-256 and HMAC-SHA-256.
    Modern,
}

impl BundleForm {
    /// Rounds for each of the three keys. .NET refuses more than 300,000 at once; old software was built for 2,048.
    fn rounds(self) -> u32 {
        match self {
            Self::Legacy => 2_048,
            Self::Modern => 100_000,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Legacy => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Modern => &SHA256,
        }
    }

    fn seal(self, plain: &[u8], password: &Passphrase) -> Result<Sealed, CertsError> {
        match self {
            Self::Legacy => seal_legacy(plain, password, self.rounds()),
            Self::Modern => pbes::seal(plain, password, self.rounds()),
        }
    }
}

/// What goes into a bundle.
#[derive(Debug)]
pub struct Bundle<'a> {
    /// The certificate first, then those above it, in PEM.
    pub certificates_pem: &'a str,
    /// The trust anchor, which is put at the end if it signed the last of them: whoever imports the bundle can then
    /// check the hub's server too.
    pub root_pem: Option<&'a str>,
    /// Its key, PKCS#8 in PEM.
    pub key_pem: &'a str,
    /// What the key is kept under, if it is.
    pub key_passphrase: Option<&'a Passphrase>,
    /// What people see when they choose among certificates.
    pub name: &'a str,
}

impl Bundle<'_> {
    /// The file's octets. Refused unless the key is that of the first certificate.
    pub fn to_pkcs12(&self, password: &Passphrase, form: BundleForm) -> Result<Vec<u8>, CertsError> {
        let certificates = self.certificates()?;
        let (leaf, above) = certificates.split_first().ok_or(CertsError::Certificate)?;
        let key = decrypt_key(self.key_pem, self.key_passphrase)?;
        let (_, parsed) = parse_x509_certificate(leaf).map_err(|_| CertsError::Certificate)?;
        let pair = KeyPair::try_from(&key).map_err(|_| CertsError::Key { what: "is of a kind we do not know" })?;
        if parsed.public_key().raw != Zeroizing::new(pair).subject_public_key_info() {
            return Err(CertsError::Key { what: "is not the key of the certificate" });
        }
        let key_id = digest::digest(&SHA256, leaf);
        let certificates = form.seal(&self.certificate_bags(leaf, above, key_id.as_ref()), password)?;
        let key = form.seal(key.secret_der(), password)?;
        let safes = authenticated_safe(&certificates, &self.key_bag(&key, key_id.as_ref()));
        file(&safes, password, form)
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, CertsError> {
        let read = |text: &str| CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let mut all = read(self.certificates_pem).map_err(|_| CertsError::Certificate)?;
        let Some(root) = self.root_pem else { return Ok(all) };
        let root = read(root).ok().and_then(|mut roots| roots.pop()).ok_or(CertsError::Certificate)?;
        let parsed = |der| parse_x509_certificate(der).map_err(|_| CertsError::Certificate);
        let (_, anchor) = parsed(&root)?;
        let is_signed = match all.last() {
            Some(last) => parsed(last)?.1.verify_signature(Some(anchor.public_key())).is_ok(),
            None => false,
        };
        if is_signed && all.last() != Some(&root) {
            all.push(root);
        }
        Ok(all)
    }

    fn certificate_bags(&self, leaf: &[u8], above: &[CertificateDer<'_>], key_id: &[u8]) -> Vec<u8> {
        let bag = |writer: DERWriter<'_>, certificate: &[u8], key_id: Option<&[u8]>| {
            writer.write_sequence(|writer| {
                oid(writer.next(), CERTIFICATE_BAG);
                writer.next().write_tagged(Tag::context(0), |writer| {
                    writer.write_sequence(|writer| {
                        oid(writer.next(), X509_CERTIFICATE);
                        writer.next().write_tagged(Tag::context(0), |writer| writer.write_bytes(certificate));
                    });
                });
                if let Some(key_id) = key_id {
                    self.attributes(writer.next(), key_id);
                }
            });
        };
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                bag(writer.next(), leaf, Some(key_id));
                above.iter().for_each(|certificate| bag(writer.next(), certificate, None));
            });
        })
    }

    fn key_bag(&self, key: &Sealed, key_id: &[u8]) -> Vec<u8> {
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_sequence(|writer| {
                    oid(writer.next(), SHROUDED_KEY_BAG);
                    writer.next().write_tagged(Tag::context(0), |writer| {
                        writer.write_sequence(|writer| {
                            writer.next().write_der(&key.algorithm);
                            writer.next().write_bytes(&key.octets);
                        });
                    });
                    self.attributes(writer.next(), key_id);
                });
            });
        })
    }

    /// Name and key id: by the second, readers find the certificate of a key.
    fn attributes(&self, writer: DERWriter<'_>, key_id: &[u8]) {
        writer.write_set_of(|writer| {
            writer.next().write_sequence(|writer| {
                oid(writer.next(), FRIENDLY_NAME);
                writer.next().write_set(|writer| writer.next().write_bmp_string(self.name));
            });
            writer.next().write_sequence(|writer| {
                oid(writer.next(), LOCAL_KEY_ID);
                writer.next().write_set(|writer| writer.next().write_bytes(key_id));
            });
        });
    }
}

fn authenticated_safe(certificates: &Sealed, key_bags: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                oid(writer.next(), ENCRYPTED_DATA);
                writer.next().write_tagged(Tag::context(0), |writer| {
                    writer.write_sequence(|writer| {
                        writer.next().write_u8(0);
                        writer.next().write_sequence(|writer| {
                            oid(writer.next(), DATA);
                            writer.next().write_der(&certificates.algorithm);
                            let octets = |writer: DERWriter<'_>| writer.write_bytes(&certificates.octets);
                            writer.next().write_tagged_implicit(Tag::context(0), octets);
                        });
                    });
                });
            });
            data(writer.next(), key_bags);
        });
    })
}

fn data(writer: DERWriter<'_>, octets: &[u8]) {
    writer.write_sequence(|writer| {
        oid(writer.next(), DATA);
        writer.next().write_tagged(Tag::context(0), |writer| writer.write_bytes(octets));
    });
}

fn file(safes: &[u8], password: &Passphrase, form: BundleForm) -> Result<Vec<u8>, CertsError> {
    let salt = drawn::<16>()?;
    let (algorithm, name) = match form {
        BundleForm::Legacy => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SHA_1),
        BundleForm::Modern => (hmac::HMAC_SHA256, SHA_256),
    };
    let key = derived(form.digest(), Purpose::Mac, password, &salt, form.rounds(), form.digest().output_len());
    let mac = hmac::sign(&hmac::Key::new(algorithm, &key), safes);
    Ok(yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_u8(3);
            data(writer.next(), safes);
            writer.next().write_sequence(|writer| {
                writer.next().write_sequence(|writer| {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(name));
                        writer.next().write_null();
                    });
                    writer.next().write_bytes(mac.as_ref());
                });
                writer.next().write_bytes(&salt);
                writer.next().write_u32(form.rounds());
            });
        });
    }))
}

/// `pbeWithSHAAnd3-KeyTripleDES-CBC`, RFC 7292 appendix C.
fn seal_legacy(plain: &[u8], password: &Passphrase, rounds: u32) -> Result<Sealed, CertsError> {
    let salt = drawn::<8>()?;
    let made = |purpose, length| derived(&SHA1_FOR_LEGACY_USE_ONLY, purpose, password, &salt, rounds, length);
    let cipher = TdesEde3::new_from_slice(&made(Purpose::Key, 24)).map_err(|_| pbes::failed())?;
    let mut chained = Array::try_from(made(Purpose::Iv, 8).as_slice()).map_err(|_| pbes::failed())?;
    let padding = 8 - plain.len() % 8;
    let mut padded = Zeroizing::new(plain.to_vec());
    padded.extend(std::iter::repeat_n(padding.to_le_bytes()[0], padding));
    let mut octets = Vec::with_capacity(padded.len());
    for block in padded.chunks(8) {
        chained.iter_mut().zip(block).for_each(|(chained, octet)| *chained ^= octet);
        cipher.encrypt_block(&mut chained);
        octets.extend_from_slice(&chained);
    }
    let algorithm = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            oid(writer.next(), SHA_AND_TRIPLE_DES);
            writer.next().write_sequence(|writer| {
                writer.next().write_bytes(&salt);
                writer.next().write_u32(rounds);
            });
        });
    });
    Ok(Sealed { algorithm, octets })
}

/// What derived octets are for: the diversifier of RFC 7292 appendix B.3.
#[derive(Clone, Copy)]
enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// Octets from a password, RFC 7292 appendix B.2. Both digests work on blocks of 64 octets.
fn derived(
    algorithm: &'static digest::Algorithm,
    purpose: Purpose,
    password: &Passphrase,
    salt: &[u8],
    rounds: u32,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    const BLOCK: usize = 64;
    // A BMPString with two octets of nothing at its end.
    let password: Zeroizing<Vec<u8>> =
        Zeroizing::new(password.as_str().encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect());
    let filled = |octets: &[u8]| -> Vec<u8> {
        octets.iter().copied().cycle().take(octets.len().div_ceil(BLOCK) * BLOCK).collect()
    };
    let mut input = Zeroizing::new([filled(salt), filled(&password)].concat());
    let mut made = Zeroizing::new(Vec::with_capacity(length + algorithm.output_len()));
    while made.len() < length {
        let mut context = digest::Context::new(algorithm);
        context.update(&[purpose as u8; BLOCK]);
        context.update(&input);
        let mut hash = context.finish();
        for _ in 1..rounds {
            hash = digest::digest(algorithm, hash.as_ref());
        }
        made.extend_from_slice(hash.as_ref());
        let addend: Vec<u8> = hash.as_ref().iter().copied().cycle().take(BLOCK).collect();
        for block in input.chunks_mut(BLOCK) {
            // block + addend + 1, as numbers of 512 bits.
            let mut carry = 1;
            for (octet, add) in block.iter_mut().zip(&addend).rev() {
                let [low, high] = (u16::from(*octet) + u16::from(*add) + carry).to_le_bytes();
                (*octet, carry) = (low, u16::from(high));
            }
        }
    }
    made.truncate(length);
    made
}

#[cfg(test)]
mod tests;
