//! Signed checkpoints of an audit log: C2SP `tlog-checkpoint` in a C2SP `signed-note`, so that existing
//! transparency-log tools can verify what this gateway seals.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::merkle::Hash;
use crate::sensitive::Sensitive;

/// Signs the checkpoints of every log of this hub: one key, one name, and each log its own origin.
pub struct CheckpointSigner {
    name: String,
    key: Ed25519KeyPair,
    public_key: [u8; 32],
}

/// What a checkpoint states once its signature has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// Which log: a text unique to it, such as `hub.example/audit/TENANT`.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why a checkpoint is not believed, or cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// The seed is not one of an Ed25519 key.
    #[error("the checkpoint key is not an Ed25519 seed")]
    Key,
    /// A name with a space, a plus sign or nothing in it cannot stand in a signature line.
    #[error("the name of the checkpoint key is empty or has a space or a plus sign in it")]
    Name,
    /// The text is not a signed note with a checkpoint in it.
    #[error("not a signed checkpoint")]
    Shape,
    /// The key's signature is there and does not hold.
    #[error("the signature of the checkpoint does not hold")]
    Signature,
    /// The key did not sign this.
    #[error("the checkpoint is not signed by this key")]
    Unsigned,
}

impl CheckpointSigner {
    /// A signer from the 32-byte seed of an Ed25519 key (RFC 8032) and the name verifiers know the key by.
    pub fn new(seed: Sensitive<[u8; 32]>, name: &str) -> Result<Self, CheckpointFault> {
        if !is_key_name(name) {
            return Err(CheckpointFault::Name);
        }
        let key = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| CheckpointFault::Key)?;
        let public_key = key.public_key().as_ref().try_into().map_err(|_| CheckpointFault::Key)?;
        Ok(Self { name: name.to_owned(), key, public_key })
    }

    /// The name in the signature line.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The 32 bytes of the Ed25519 public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// The key as verifiers take it: `NAME+KEYID+base64(0x01 || public key)`, the key id in hexadecimal.
    pub fn verifier_key(&self) -> String {
        let id = u32::from_be_bytes(key_id(&self.name, ED25519_TYPE, &self.public_key));
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(&self.public_key);
        format!("{}+{id:08x}+{}", self.name, STANDARD.encode(key))
    }

    /// The signed note for one state of one log. The origin must be one line; see [`SignedHead::origin`].
    pub fn sign(&self, origin: &str, size: u64, root: &Hash) -> String {
        let body = format!("{origin}\n{size}\n{}\n", STANDARD.encode(root));
        let mut signature = key_id(&self.name, ED25519_TYPE, &self.public_key).to_vec();
        signature.extend_from_slice(self.key.sign(body.as_bytes()).as_ref());
        format!("{body}\n{DASH} {} {}\n", self.name, STANDARD.encode(signature))
    }
}

impl std::fmt::Debug for CheckpointSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointSigner").field("verifier_key", &self.verifier_key()).finish_non_exhaustive()
    }
}

/// A key that checkpoints are verified with, known from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    public_key: [u8; 32],
}

impl Verifier {
    /// The key of a signer of this process.
    pub fn of(signer: &CheckpointSigner) -> Self {
        Self { name: signer.name.clone(), public_key: signer.public_key }
    }

    /// The key as [`CheckpointSigner::verifier_key`] writes it, which is how C2SP signed notes have it.
    pub fn parse(text: &str) -> Result<Self, CheckpointFault> {
        let (name, rest) = text.trim().split_once('+').ok_or(CheckpointFault::Key)?;
        let (id, key) = rest.split_once('+').ok_or(CheckpointFault::Key)?;
        let key = STANDARD.decode(key).map_err(|_| CheckpointFault::Key)?;
        let public_key = match key.split_first() {
            Some((&ED25519_TYPE, key)) => key.try_into().map_err(|_| CheckpointFault::Key)?,
            _ => return Err(CheckpointFault::Key),
        };
        let fits = format!("{:08x}", u32::from_be_bytes(key_id(name, ED25519_TYPE, &public_key))) == id;
        if !fits || !is_key_name(name) {
            return Err(CheckpointFault::Key);
        }
        Ok(Self { name: name.to_owned(), public_key })
    }

    /// As [`open`].
    pub fn open(&self, note: &str) -> Result<SignedHead, CheckpointFault> {
        open(note, &self.name, &self.public_key)
    }
}

/// What a checkpoint states, believed or not, and the text that its signatures cover. For what must know the origin
/// before it knows which key to ask for.
pub fn stated(note: &str) -> Result<(SignedHead, &str), CheckpointFault> {
    let (body, _) = divide(note)?;
    Ok((head(body).ok_or(CheckpointFault::Shape)?, body))
}

/// Opens a signed note with a key that is known from elsewhere. Signatures of other keys, such as witnesses,
/// are passed over; extension lines after the root are covered by the signature and otherwise ignored.
pub fn open(note: &str, key_name: &str, public_key: &[u8; 32]) -> Result<SignedHead, CheckpointFault> {
    let (body, signatures) = divide(note)?;
    let id = key_id(key_name, ED25519_TYPE, public_key);
    let mut signed = false;
    for line in signatures.split('\n') {
        let (name, bytes) = signature_line(line).ok_or(CheckpointFault::Shape)?;
        let Some((its_id, signature)) = bytes.split_first_chunk::<4>() else { return Err(CheckpointFault::Shape) };
        if name != key_name || *its_id != id {
            continue;
        }
        if UnparsedPublicKey::new(&ED25519, public_key).verify(body.as_bytes(), signature).is_err() {
            return Err(CheckpointFault::Signature);
        }
        signed = true;
    }
    if !signed {
        return Err(CheckpointFault::Unsigned);
    }
    head(body).ok_or(CheckpointFault::Shape)
}

/// The text and the signature lines of a note.
fn divide(note: &str) -> Result<(&str, &str), CheckpointFault> {
    if note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(CheckpointFault::Shape);
    }
    // The last blank line divides text and signatures: the text may have blank lines of its own.
    let divide = note.rfind("\n\n").ok_or(CheckpointFault::Shape)?;
    let (body, rest) = note.split_at_checked(divide + 1).ok_or(CheckpointFault::Shape)?;
    let signatures = rest.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
    Ok((body, signatures.ok_or(CheckpointFault::Shape)?))
}

fn head(body: &str) -> Option<SignedHead> {
    let mut lines = body.strip_suffix('\n')?.split('\n');
    let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    if origin.is_empty() || lines.any(str::is_empty) {
        return None;
    }
    let number: u64 = size.parse().ok()?;
    // A leading zero or sign would give one size two spellings.
    (number.to_string() == size).then_some(())?;
    let root = STANDARD.decode(root).ok()?.try_into().ok()?;
    Some(SignedHead { origin: origin.to_owned(), size: number, root })
}

pub(crate) fn signature_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, signature) = line.strip_prefix(DASH)?.strip_prefix(' ')?.split_once(' ')?;
    is_key_name(name).then_some(())?;
    Some((name, STANDARD.decode(signature).ok()?))
}

pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// The first four bytes of SHA-256 over name, newline, key type and key.
pub(crate) fn key_id(name: &str, key_type: u8, public_key: &[u8; 32]) -> [u8; 4] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(name.as_bytes());
    context.update(&[b'\n', key_type]);
    context.update(public_key);
    context.finish().as_ref().first_chunk().copied().unwrap_or_default()
}

pub(crate) const DASH: char = '\u{2014}';
const ED25519_TYPE: u8 = 0x01;

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "hub.example";
    const ORIGIN: &str = "hub.example/audit/hamamatsu";

    fn signer() -> CheckpointSigner {
        CheckpointSigner::new(Sensitive::new([7; 32]), NAME).unwrap()
    }

    /// The Ed25519 note of the Go module `golang.org/x/mod/sumdb/note`: name, key and signature are its
    /// published example.
    #[test]
    fn key_id_and_signature_are_those_of_other_implementations() {
        let key = STANDARD.decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let public: [u8; 32] = key[1..].try_into().unwrap();
        assert_eq!(hex::encode(key_id("PeterNeumann", ED25519_TYPE, &public)), "c74f20a3");
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let line = format!(
            "{DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
        );
        let (name, bytes) = signature_line(&line).unwrap();
        assert_eq!(name, "PeterNeumann");
        UnparsedPublicKey::new(&ED25519, public).verify(text.as_bytes(), &bytes[4..]).unwrap();
        // Its text is no checkpoint, so opening gets as far as its shape and no further.
        let note = format!("{text}\n{line}\n");
        assert_eq!(open(&note, "PeterNeumann", &public), Err(CheckpointFault::Shape));
    }

    #[test]
    fn what_was_signed_is_opened() {
        let note = signer().sign(ORIGIN, 42, &[9; 32]);
        assert_eq!(note.lines().count(), 5);
        let head = open(&note, NAME, &signer().public_key());
        assert_eq!(head, Ok(SignedHead { origin: ORIGIN.to_owned(), size: 42, root: [9; 32] }));
        let verifier = signer().verifier_key();
        let parts: Vec<&str> = verifier.splitn(3, '+').collect();
        assert_eq!(parts[0], NAME);
        assert_eq!(hex::decode(parts[1]).unwrap(), key_id(NAME, ED25519_TYPE, &signer().public_key()));
        assert_eq!(STANDARD.decode(parts[2]).unwrap()[1..], signer().public_key());
    }

    #[test]
    fn a_verifier_key_comes_back_and_no_other_is_taken_for_it() {
        let text = signer().verifier_key();
        let verifier = Verifier::parse(&format!("{text}\n")).unwrap();
        assert_eq!(verifier, Verifier::of(&signer()));
        assert!(verifier.open(&signer().sign(ORIGIN, 1, &[9; 32])).is_ok());
        // The key of the Go module's example, as it is published.
        let published = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert!(Verifier::parse(published).is_ok());
        for (from, to) in [("c74f20a3", "c74f20a4"), ("Peter", "Pet er"), ("+ARpc", "+BRpc"), ("TW", ""), ("+", "")] {
            assert_eq!(Verifier::parse(&published.replace(from, to)), Err(CheckpointFault::Key), "{from}");
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let note = signer().sign(ORIGIN, 42, &[9; 32]);
        let key = signer().public_key();
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                assert!(open(&changed, NAME, &key).is_err(), "byte {at}, bit {bit}");
            }
        }
        for cut in 0..note.len() {
            let shorter = String::from_utf8_lossy(&note.as_bytes()[..cut]);
            assert!(open(&shorter, NAME, &key).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn other_keys_are_passed_over_but_do_not_count() {
        let note = signer().sign(ORIGIN, 42, &[9; 32]);
        let witness = CheckpointSigner::new(Sensitive::new([8; 32]), "witness.example").unwrap();
        let theirs = witness.sign(ORIGIN, 42, &[9; 32]);
        let cosigned = format!("{note}{}\n", theirs.lines().last().unwrap());
        assert!(open(&cosigned, NAME, &signer().public_key()).is_ok());
        assert!(open(&cosigned, "witness.example", &witness.public_key()).is_ok());
        assert_eq!(open(&theirs, NAME, &signer().public_key()), Err(CheckpointFault::Unsigned));
        assert_eq!(open(&note, NAME, &witness.public_key()), Err(CheckpointFault::Unsigned));
    }

    #[test]
    fn a_size_has_one_spelling() {
        for size in ["042", "+42", "", "-1", "18446744073709551616"] {
            let body = format!("{ORIGIN}\n{size}\n{}\n", STANDARD.encode([9; 32]));
            assert_eq!(head(&body), None, "{size}");
        }
    }

    #[test]
    fn a_name_that_breaks_the_line_is_refused() {
        for name in ["", "a b", "a+b", "a\nb", "a\u{3000}b"] {
            assert_eq!(CheckpointSigner::new(Sensitive::new([7; 32]), name).err(), Some(CheckpointFault::Name));
        }
        assert!(!format!("{:?}", signer()).contains(&hex::encode([7; 32])));
    }
}
