//! Cosignatures of a witness (証人): C2SP `tlog-cosignature`, version 1. A witness states that a log of somebody else had
//! this head at that time, and that it only grew since the witness last saw it.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::checkpoint::{CheckpointFault, DASH, is_key_name, key_id, signature_line, stated};
use crate::sensitive::Sensitive;

/// The key type of cosignatures: the id of a key that signs checkpoints differs from that of the same key here.
const COSIGNATURE_TYPE: u8 = 0x04;

/// Signs for a witness. The key signs nothing else.
pub struct Cosigner {
    name: String,
    key: Ed25519KeyPair,
    public_key: [u8; 32],
}

impl Cosigner {
    /// From the 32-byte seed of an Ed25519 key, and the name that verifiers know the witness by.
    pub fn new(seed: Sensitive<[u8; 32]>, name: &str) -> Result<Self, CheckpointFault> {
        if !is_key_name(name) {
            return Err(CheckpointFault::Name);
        }
        let key = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| CheckpointFault::Key)?;
        let public_key = key.public_key().as_ref().try_into().map_err(|_| CheckpointFault::Key)?;
        Ok(Self { name: name.to_owned(), key, public_key })
    }

    /// The key as verifiers take it: `NAME+KEYID+base64(0x04 || public key)`.
    pub fn verifier_key(&self) -> String {
        let id = u32::from_be_bytes(key_id(&self.name, COSIGNATURE_TYPE, &self.public_key));
        let mut key = vec![COSIGNATURE_TYPE];
        key.extend_from_slice(&self.public_key);
        format!("{}+{id:08x}+{}", self.name, STANDARD.encode(key))
    }

    /// The signature line, with its newline, for a checkpoint that was found to be consistent at this time.
    pub fn sign(&self, checkpoint: &str, at: Timestamp) -> Result<String, CheckpointFault> {
        let (_, body) = stated(checkpoint)?;
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        let mut signature = key_id(&self.name, COSIGNATURE_TYPE, &self.public_key).to_vec();
        signature.extend_from_slice(&seconds.to_be_bytes());
        signature.extend_from_slice(self.key.sign(message(seconds, body).as_bytes()).as_ref());
        Ok(format!("{DASH} {} {}\n", self.name, STANDARD.encode(signature)))
    }
}

impl std::fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cosigner").field("verifier_key", &self.verifier_key()).finish_non_exhaustive()
    }
}

/// When the witness of this key, as [`Cosigner::verifier_key`] writes it, saw this checkpoint, if the line is its
/// cosignature.
pub fn verify(line: &str, checkpoint: &str, verifier_key: &str) -> Result<u64, CheckpointFault> {
    let (name, rest) = verifier_key.trim().split_once('+').ok_or(CheckpointFault::Key)?;
    let key = rest.split_once('+').and_then(|(_, key)| STANDARD.decode(key).ok()).ok_or(CheckpointFault::Key)?;
    let public_key: [u8; 32] = match key.split_first() {
        Some((&COSIGNATURE_TYPE, key)) => key.try_into().map_err(|_| CheckpointFault::Key)?,
        _ => return Err(CheckpointFault::Key),
    };
    let (_, body) = stated(checkpoint)?;
    let (by, bytes) = signature_line(line.trim_end_matches('\n')).ok_or(CheckpointFault::Shape)?;
    let (id, rest) = bytes.split_first_chunk::<4>().ok_or(CheckpointFault::Shape)?;
    let (seconds, signature) = rest.split_first_chunk::<8>().ok_or(CheckpointFault::Shape)?;
    if by != name || *id != key_id(name, COSIGNATURE_TYPE, &public_key) {
        return Err(CheckpointFault::Unsigned);
    }
    let seconds = u64::from_be_bytes(*seconds);
    let signed = UnparsedPublicKey::new(&ED25519, public_key).verify(message(seconds, body).as_bytes(), signature);
    signed.map(|()| seconds).map_err(|_| CheckpointFault::Signature)
}

fn message(seconds: u64, body: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{body}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{CheckpointSigner, Verifier};

    fn cosigner() -> Cosigner {
        Cosigner::new(Sensitive::new([8; 32]), "witness.example").unwrap()
    }

    #[test]
    fn a_cosignature_holds_for_its_checkpoint_and_time_alone() {
        let signer = CheckpointSigner::new(Sensitive::new([7; 32]), "tsunagi").unwrap();
        let (note, other) = (signer.sign("tsunagi/aoi", 4, &[9; 32]), signer.sign("tsunagi/aoi", 5, &[9; 32]));
        let line = cosigner().sign(&note, Timestamp::from_second(1_679_315_147).unwrap()).unwrap();
        let key = cosigner().verifier_key();
        assert_eq!(verify(&line, &note, &key), Ok(1_679_315_147));
        assert_eq!(verify(&line, &other, &key), Err(CheckpointFault::Signature));
        let another = Cosigner::new(Sensitive::new([6; 32]), "witness.example").unwrap();
        assert_eq!(verify(&line, &note, &another.verifier_key()), Err(CheckpointFault::Unsigned));
        // Beside the log's own signature it does no harm.
        let both = format!("{note}{line}");
        assert!(Verifier::of(&signer).open(&both).is_ok());
        assert_eq!(verify(&line, &both, &key), Ok(1_679_315_147));
        // A key of the other type is another key.
        assert_eq!(verify(&line, &note, &signer.verifier_key()), Err(CheckpointFault::Key));
    }

    /// The example that the specification shows: its text is what was signed, in this form.
    #[test]
    fn the_message_is_that_of_the_specification() {
        let body = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let message = message(1_679_315_147, body);
        assert!(message.starts_with("cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n"));
    }
}
