//! Password-based encryption: PBES2 of RFC 8018, with PBKDF2-HMAC-SHA-256 and AES-256-CBC.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    AES_256, AES_256_KEY_LEN, AES_CBC_IV_LEN, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Result, DERWriter};
use zeroize::{Zeroize, Zeroizing};

use crate::error::CertsError;
use crate::secret::Passphrase;

const PBES2: &[u64] = &[1, 2, 840, 113_549, 1, 5, 13];
const PBKDF2: &[u64] = &[1, 2, 840, 113_549, 1, 5, 12];
const HMAC_SHA256: &[u64] = &[1, 2, 840, 113_549, 2, 9];
const AES_256_CBC: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 1, 42];

/// Most rounds that are taken from a file: a larger number is damage, or meant to keep us busy.
const MOST_ROUNDS: u32 = 10_000_000;

/// The rest of a sentence about a key that does not open.
pub(crate) const WRONG: &str = "does not open: this is not the passphrase it was written with, or it is damaged";
const OTHER_FORM: &str = "is encrypted in a form we do not read: write it anew with \
    openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256";

/// What was encrypted, with the AlgorithmIdentifier (DER) that says how.
pub(crate) struct Sealed {
    pub(crate) algorithm: Vec<u8>,
    pub(crate) octets: Vec<u8>,
}

/// Writes an object identifier.
pub(crate) fn oid(writer: DERWriter<'_>, parts: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(parts));
}

/// Draws random octets: salts and initialisation vectors.
pub(crate) fn drawn<const N: usize>() -> Result<[u8; N], CertsError> {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| failed())?;
    Ok(octets)
}

/// Encrypts under a key that takes so many rounds to make from the passphrase.
pub(crate) fn seal(plain: &[u8], passphrase: &Passphrase, rounds: u32) -> Result<Sealed, CertsError> {
    let (salt, iv) = (drawn::<16>()?, drawn::<AES_CBC_IV_LEN>()?);
    let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(key(passphrase, &salt, rounds)?).map_err(|_| failed())?;
    let mut octets = plain.to_vec();
    // The copy is encrypted in place, but growing by the padding may leave the plain text behind.
    octets.reserve_exact(2 * AES_CBC_IV_LEN);
    let context = EncryptionContext::Iv128(FixedLength::from(&iv));
    cipher.less_safe_encrypt(&mut octets, context).map_err(|_| failed())?;
    let algorithm = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            oid(writer.next(), PBES2);
            writer.next().write_sequence(|writer| {
                writer.next().write_sequence(|writer| {
                    oid(writer.next(), PBKDF2);
                    writer.next().write_sequence(|writer| {
                        writer.next().write_bytes(&salt);
                        writer.next().write_u32(rounds);
                        writer.next().write_sequence(|writer| {
                            oid(writer.next(), HMAC_SHA256);
                            writer.next().write_null();
                        });
                    });
                });
                writer.next().write_sequence(|writer| {
                    oid(writer.next(), AES_256_CBC);
                    writer.next().write_bytes(&iv);
                });
            });
        });
    });
    Ok(Sealed { algorithm, octets })
}

/// Decrypts what [`seal`] made, or another program in the same form.
pub(crate) fn open(sealed: &Sealed, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, CertsError> {
    let other = || CertsError::Key { what: OTHER_FORM };
    let (salt, rounds, iv) = yasna::parse_der(&sealed.algorithm, parameters).map_err(|_| other())?;
    let rounds = u32::try_from(rounds).ok().filter(|rounds| *rounds <= MOST_ROUNDS).ok_or_else(other)?;
    let iv: [u8; AES_CBC_IV_LEN] = iv.try_into().map_err(|_| other())?;
    let cipher = PaddedBlockDecryptingKey::cbc_pkcs7(key(passphrase, &salt, rounds)?).map_err(|_| failed())?;
    let mut octets = Zeroizing::new(sealed.octets.clone());
    let context = DecryptionContext::Iv128(FixedLength::from(&iv));
    let plain = cipher.decrypt(&mut octets, context).map_err(|_| CertsError::Key { what: WRONG })?;
    Ok(Zeroizing::new(plain.to_vec()))
}

/// Salt, rounds and initialisation vector of an AlgorithmIdentifier; an error for every other form.
fn parameters(reader: yasna::BERReader<'_, '_>) -> ASN1Result<(Vec<u8>, u64, Vec<u8>)> {
    let expect = |found: ObjectIdentifier, parts: &[u64]| {
        let same = found == ObjectIdentifier::from_slice(parts);
        if same { Ok(()) } else { Err(yasna::ASN1Error::new(yasna::ASN1ErrorKind::Invalid)) }
    };
    reader.read_sequence(|reader| {
        expect(reader.next().read_oid()?, PBES2)?;
        reader.next().read_sequence(|reader| {
            let (salt, rounds) = reader.next().read_sequence(|reader| {
                expect(reader.next().read_oid()?, PBKDF2)?;
                reader.next().read_sequence(|reader| {
                    let salt = reader.next().read_bytes()?;
                    let rounds = reader.next().read_u64()?;
                    // Some programs write the length of the key too.
                    reader.read_optional(|reader| reader.read_u64())?;
                    reader.next().read_sequence(|reader| {
                        expect(reader.next().read_oid()?, HMAC_SHA256)?;
                        reader.next().read_null()
                    })?;
                    Ok((salt, rounds))
                })
            })?;
            let iv = reader.next().read_sequence(|reader| {
                expect(reader.next().read_oid()?, AES_256_CBC)?;
                reader.next().read_bytes()
            })?;
            Ok((salt, rounds, iv))
        })
    })
}

fn key(passphrase: &Passphrase, salt: &[u8], rounds: u32) -> Result<UnboundCipherKey, CertsError> {
    let rounds = NonZeroU32::new(rounds).ok_or_else(failed)?;
    let mut octets = Zeroizing::new([0; AES_256_KEY_LEN]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, passphrase.as_str().as_bytes(), octets.as_mut());
    let key = UnboundCipherKey::new(&AES_256, octets.as_ref()).map_err(|_| failed());
    octets.zeroize();
    key
}

/// What the library's one and only error becomes.
pub(crate) fn failed() -> CertsError {
    CertsError::Signing(rcgen::Error::RingUnspecified)
}
