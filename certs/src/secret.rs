//! Passphrases, and private keys that are kept under one.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::pem::parse_x509_pem;
use zeroize::Zeroizing;

use crate::error::CertsError;
use crate::pbes::{self, Sealed};
use crate::pem::pem;

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const PLAIN: &str = "PRIVATE KEY";

/// Rounds of PBKDF2 for a key that lies on a disk for years. A fifth of a second on the machines this was tried on.
const KEY_ROUNDS: u32 = 600_000;

/// A passphrase or password: 8 to 256 printable characters of ASCII, wiped from memory when dropped.
///
/// ASCII alone, because programs disagree about how other characters become the octets of a password.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes a passphrase as it is.
    pub fn parse(text: &str) -> Result<Self, CertsError> {
        let fits = (8..=256).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        if fits { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(CertsError::Passphrase) }
    }

    /// Reads the first line of a file. Refused if others can read the file, as with keys.
    pub fn read(file: &Path) -> Result<Self, CertsError> {
        let mode = fs::metadata(file).map_err(CertsError::io("read", file))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(CertsError::Exposed { file: file.to_owned() });
        }
        let text = Zeroizing::new(fs::read_to_string(file).map_err(CertsError::io("read", file))?);
        Self::parse(text.lines().next().unwrap_or_default())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Puts a private key (PKCS#8 in PEM) under a passphrase: EncryptedPrivateKeyInfo of RFC 5958 in PEM, by PBES2 of
/// RFC 8018 with PBKDF2-HMAC-SHA-256 and AES-256-CBC.
pub fn encrypt_key(key_pem: &str, passphrase: &Passphrase) -> Result<Zeroizing<String>, CertsError> {
    let key = decrypt_key(key_pem, None)?;
    let sealed = pbes::seal(key.secret_der(), passphrase, KEY_ROUNDS)?;
    let info = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(&sealed.algorithm);
            writer.next().write_bytes(&sealed.octets);
        });
    });
    Ok(pem(ENCRYPTED, &info))
}

/// A private key from PEM: PKCS#8 as it is, or under a passphrase in the form of [`encrypt_key`].
///
/// An unencrypted key is taken whether or not there is a passphrase.
pub(crate) fn decrypt_key(text: &str, passphrase: Option<&Passphrase>) -> Result<PrivateKeyDer<'static>, CertsError> {
    let unreadable = || CertsError::Key { what: "is not a private key in PEM (PKCS#8)" };
    let (_, found) = parse_x509_pem(text.as_bytes()).map_err(|_| unreadable())?;
    match found.label.as_str() {
        PLAIN => PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| unreadable()),
        ENCRYPTED => {
            let passphrase =
                passphrase.ok_or(CertsError::Key { what: "is under a passphrase: name the file that holds it" })?;
            let sealed = yasna::parse_der(&found.contents, |reader| {
                reader.read_sequence(|reader| {
                    let algorithm = reader.next().read_der()?;
                    Ok(Sealed { algorithm, octets: reader.next().read_bytes()? })
                })
            });
            let plain = pbes::open(&sealed.map_err(|_| unreadable())?, passphrase)?;
            PrivateKeyDer::try_from(plain.to_vec()).map_err(|_| CertsError::Key { what: pbes::WRONG })
        }
        _ => Err(unreadable()),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;

    use super::*;

    #[test]
    fn passphrases_are_ascii_and_not_short() {
        for bad in ["", "short77", "あいうえおかきくけこ", "tab\tinside it", &"a".repeat(257)] {
            assert!(matches!(Passphrase::parse(bad), Err(CertsError::Passphrase)), "{bad:?}");
        }
        let good = Passphrase::parse("correct horse").unwrap();
        assert_eq!(format!("{good:?}"), "[redacted]");
    }

    #[test]
    fn a_passphrase_file_is_for_its_owner_alone_and_ends_at_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("passphrase");
        fs::write(&file, "correct horse\nbattery\n").unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(Passphrase::read(&file), Err(CertsError::Exposed { .. })));
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(Passphrase::read(&file).unwrap().as_str(), "correct horse");
    }

    #[test]
    fn a_key_comes_back_under_its_passphrase_and_no_other() {
        let plain = KeyPair::generate().unwrap().serialize_pem();
        let (right, wrong) =
            (Passphrase::parse("correct horse").unwrap(), Passphrase::parse("battery staple").unwrap());
        let locked = encrypt_key(&plain, &right).unwrap();
        assert!(locked.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        let key = |text, passphrase| decrypt_key(text, passphrase).map(|key| key.secret_der().to_vec());
        assert_eq!(key(&locked, Some(&right)).unwrap(), key(&plain, None).unwrap());
        assert_eq!(key(&plain, Some(&right)).unwrap(), key(&plain, None).unwrap());
        for (passphrase, part) in [(Some(&wrong), "not the passphrase"), (None, "name the file")] {
            let said = key(&locked, passphrase).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
    }
}
