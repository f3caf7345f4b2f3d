//! Proofs as texts that stand alone: C2SP `tlog-proof` for a leaf, and the body that C2SP `tlog-witness` takes for the
//! growth of a log. Hashes only: nothing of any leaf can be read from them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{CheckpointFault, SignedHead, Verifier};
use crate::merkle::{Hash, verify_consistency, verify_inclusion};

/// The first line of a proof of a leaf.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The proof that a leaf is in a log, with the checkpoint that it was made for. The leaf's hash goes along as the format's
/// extra data, so that the text needs nothing beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The hash of the leaf.
    pub leaf: Hash,
    /// Its index, from 0.
    pub index: u64,
    /// From the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The signed note.
    pub checkpoint: String,
}

/// The proof that a log only grew, with the newer checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// How many leaves it had.
    pub old: u64,
    /// The consistency proof.
    pub hashes: Vec<Hash>,
    /// The newer signed note.
    pub checkpoint: String,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The checkpoint is not believed.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointFault),
    /// The two checkpoints are not of one log that only grew.
    #[error("the older checkpoint is not of this log")]
    Forked,
    /// The leaf is not at this place of the log that the checkpoint heads.
    #[error("the leaf is not at its place under the checkpoint")]
    NotIncluded,
    /// The text is none of these proofs.
    #[error("not a proof")]
    Shape,
}

impl InclusionProof {
    /// What the checkpoint states, if the key has signed it and the leaf lies under it.
    pub fn verify(&self, verifier: &Verifier) -> Result<SignedHead, ProofFault> {
        let head = verifier.open(&self.checkpoint)?;
        let holds = verify_inclusion(&self.leaf, self.index, head.size, &self.hashes, &head.root);
        if holds { Ok(head) } else { Err(ProofFault::NotIncluded) }
    }

    /// Reads the text that [`Display`](std::fmt::Display) writes. Without the extra line there is no telling of which leaf it is.
    pub fn parse(text: &str) -> Result<Self, ProofFault> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofFault::Shape)?;
        let mut lines = head.split('\n');
        let mut after = |word: &str| lines.next().and_then(|line| line.strip_prefix(word));
        let (Some(""), Some(leaf), Some(index)) = (after(HEADER), after("extra "), after("index ")) else {
            return Err(ProofFault::Shape);
        };
        let (leaf, index) = (hash(leaf)?, number(index)?);
        Ok(Self { leaf, index, hashes: lines.map(hash).collect::<Result<_, _>>()?, checkpoint: checkpoint.to_owned() })
    }
}

impl std::fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{HEADER}\nextra {}\nindex {}", STANDARD.encode(self.leaf), self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl Growth {
    /// True if a log of [`Growth::old`] leaves with this root became the one that `newer` heads.
    pub fn holds(&self, old_root: &Hash, newer: &SignedHead) -> bool {
        verify_consistency(self.old, old_root, newer.size, &newer.root, &self.hashes)
    }

    /// Reads the text that [`Display`](std::fmt::Display) writes.
    pub fn parse(text: &str) -> Result<Self, ProofFault> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofFault::Shape)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(ProofFault::Shape)?;
        let (old, hashes) = (number(old)?, lines.map(hash).collect::<Result<Vec<_>, _>>()?);
        if hashes.len() > MOST_HASHES {
            return Err(ProofFault::Shape);
        }
        Ok(Self { old, hashes, checkpoint: checkpoint.to_owned() })
    }
}

impl std::fmt::Display for Growth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// No consistency proof has more: a tree is not higher.
const MOST_HASHES: usize = 63;

fn hash(text: &str) -> Result<Hash, ProofFault> {
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(ProofFault::Shape)
}

/// One spelling for each number.
fn number(text: &str) -> Result<u64, ProofFault> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text).ok_or(ProofFault::Shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::CheckpointSigner;
    use crate::merkle::{Frontier, Plan, leaf_hash, root};
    use crate::sensitive::Sensitive;

    const ORIGIN: &str = "tsunagi/aoi";

    fn signer() -> CheckpointSigner {
        CheckpointSigner::new(Sensitive::new([7; 32]), "tsunagi").unwrap()
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    fn note(leaves: &[Hash]) -> String {
        signer().sign(ORIGIN, leaves.len() as u64, &root(leaves))
    }

    fn prove(leaves: &[Hash], plan: Plan) -> Vec<Hash> {
        plan.prove(|part| {
            let from = usize::try_from(part.index << part.height).unwrap();
            leaves.get(from..from + (1 << part.height)).map(root)
        })
        .unwrap()
    }

    #[test]
    fn a_proof_of_a_leaf_comes_back_and_holds_and_no_changed_byte_does() {
        let leaves = leaves(11);
        let proof = InclusionProof {
            leaf: leaves[6],
            index: 6,
            hashes: prove(&leaves, Plan::inclusion(6, 11).unwrap()),
            checkpoint: note(&leaves),
        };
        let text = proof.to_string();
        assert_eq!(InclusionProof::parse(&text), Ok(proof.clone()));
        let verifier = Verifier::of(&signer());
        assert_eq!(proof.verify(&verifier).map(|head| head.size), Ok(11));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let held = InclusionProof::parse(&changed).is_ok_and(|proof| proof.verify(&verifier).is_ok());
            assert!(!held, "byte {at} of {text}");
        }
    }

    #[test]
    fn growth_comes_back_and_a_fork_is_no_growth() {
        let leaves = leaves(11);
        let growth =
            Growth { old: 6, hashes: prove(&leaves, Plan::consistency(6, 11).unwrap()), checkpoint: note(&leaves) };
        assert_eq!(Growth::parse(&growth.to_string()), Ok(growth.clone()));
        let newer = Verifier::of(&signer()).open(&growth.checkpoint).unwrap();
        assert!(growth.holds(&root(&leaves[..6]), &newer));
        let mut fork = Frontier::new();
        leaves[..5].iter().chain([&leaf_hash(b"another")]).for_each(|leaf| fork.push(*leaf));
        assert!(!growth.holds(&fork.root(), &newer));
    }

    #[test]
    fn a_number_has_one_spelling_and_a_proof_is_not_longer_than_a_tree_is_high() {
        let growth = Growth { old: 6, hashes: vec![[1; 32]; 63], checkpoint: note(&leaves(11)) };
        assert!(Growth::parse(&growth.to_string()).is_ok());
        for (from, to) in [("old 6", "old 06"), ("old 6", "old +6"), ("old 6", "new 6"), ("\n\n", "\n")] {
            assert_eq!(Growth::parse(&growth.to_string().replacen(from, to, 1)), Err(ProofFault::Shape), "{to:?}");
        }
        let longer = Growth { hashes: vec![[1; 32]; 64], ..growth };
        assert_eq!(Growth::parse(&longer.to_string()), Err(ProofFault::Shape));
    }
}
