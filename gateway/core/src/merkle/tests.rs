use proptest::prelude::*;

use super::*;

/// The reference leaves of the certificate-transparency project, and the root after each of them.
const REFERENCE: [(&str, &str); 8] = [
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
];

fn hash(text: &str) -> Hash {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn reference_leaves() -> Vec<Hash> {
    REFERENCE.iter().map(|(leaf, _)| leaf_hash(&hex::decode(leaf).unwrap())).collect()
}

/// RFC 6962 §2.1 word for word, recursive: what the iterative code must agree with.
fn defined_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            node_hash(&defined_root(&leaves[..k]), &defined_root(&leaves[k..]))
        }
    }
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

/// The proof of a leaf, from leaves that are all at hand.
fn inclusion_proof(leaves: &[Hash], index: u64) -> Option<Vec<Hash>> {
    Plan::inclusion(index, leaves.len() as u64)?.prove(|part| Some(defined_root(within(leaves, part))))
}

fn consistency_proof(leaves: &[Hash], old_size: u64) -> Option<Vec<Hash>> {
    Plan::consistency(old_size, leaves.len() as u64)?.prove(|part| Some(defined_root(within(leaves, part))))
}

fn within(leaves: &[Hash], part: Subtree) -> &[Hash] {
    let from = usize::try_from(part.index << part.height).unwrap();
    &leaves[from..from + (1 << part.height)]
}

/// What a store has: the hashes of leaves, and of the subtrees that are kept.
#[derive(Default)]
struct Kept {
    frontier: Frontier,
    levels: Vec<Vec<Hash>>,
}

impl Kept {
    fn push(&mut self, leaf: Hash) {
        let levels = &mut self.levels;
        let mut keep = |level: usize, index: u64, hash| {
            levels.resize_with(levels.len().max(level + 1), Vec::new);
            assert_eq!(levels[level].len() as u64, index, "subtrees are completed in order");
            levels[level].push(hash);
        };
        keep(0, self.frontier.size(), leaf);
        self.frontier.push_noting(leaf, |subtree, root| {
            if let Some((level, index)) = subtree.kept() {
                keep(level as usize, index, root);
            }
        });
    }

    fn tile(&self, tile: Tile) -> &[Hash] {
        let level = &self.levels[tile.level as usize];
        level.chunks(TILE as usize).nth(tile.index as usize).unwrap_or_default()
    }
}

#[test]
fn a_proof_over_many_leaves_reads_a_handful_of_tiles() {
    let mut kept = Kept::default();
    let size = 70_000;
    let mut old = None;
    for leaf in leaves(size) {
        if kept.frontier.size() == 66_001 {
            old = Some(kept.frontier.clone());
        }
        kept.push(leaf);
    }
    let (size, root) = (size as u64, kept.frontier.root());
    assert_eq!(kept.levels.iter().map(Vec::len).collect::<Vec<_>>(), [70_000, 273, 1]);
    let mut most = 0;
    let mut prove = |plan: Plan| {
        let tiles: std::collections::BTreeSet<_> = plan.subtrees().map(Subtree::tile).collect();
        most = most.max(tiles.len());
        plan.prove(|part| part.root_in(kept.tile(part.tile()))).unwrap()
    };
    for index in [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 66_000, 69_887, 69_888, 69_999] {
        let proof = prove(Plan::inclusion(index, size).unwrap());
        assert!(verify_inclusion(&kept.levels[0][index as usize], index, size, &proof, &root), "{index}");
    }
    let old = old.unwrap();
    let proof = prove(Plan::consistency(old.size(), size).unwrap());
    assert!(verify_consistency(old.size(), &old.root(), size, &root, &proof));
    let edge = prove(Plan::frontier(size));
    assert_eq!(Frontier::from_parts(size, edge), Some(kept.frontier.clone()));
    assert!(most <= 6, "{most} tiles");
}

#[test]
fn of_ten_million_leaves_a_proof_is_short() {
    for index in [0, 4_999_999, 9_999_999] {
        let plan = Plan::inclusion(index, 10_000_000).unwrap();
        let tiles: std::collections::BTreeSet<_> = plan.subtrees().map(Subtree::tile).collect();
        let hashes = plan.prove(|_| Some([0; 32])).unwrap().len();
        assert!(tiles.len() <= 6 && hashes <= 24, "{index}: {} tiles, {hashes} hashes", tiles.len());
    }
    assert!(Plan::inclusion(u64::MAX - 1, u64::MAX).is_some());
    assert!(Plan::consistency(u64::MAX - 1, u64::MAX).is_some());
}

#[test]
fn has_the_reference_roots() {
    assert_eq!(empty_root(), hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), empty_root());
    for (leaf, (_, root)) in reference_leaves().into_iter().zip(REFERENCE) {
        frontier.push(leaf);
        assert_eq!(frontier.root(), hash(root), "size {}", frontier.size());
    }
}

#[test]
fn has_the_reference_inclusion_proofs() {
    let leaves = reference_leaves();
    for (index, size, proof) in [
        (0, 1, &[][..]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ][..],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ][..],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"][..]),
    ] {
        let proof: Vec<Hash> = proof.iter().map(|text| hash(text)).collect();
        assert_eq!(inclusion_proof(&leaves[..size], index).as_deref(), Some(&proof[..]), "{index} of {size}");
    }
}

#[test]
fn has_the_reference_consistency_proofs() {
    let leaves = reference_leaves();
    for (old, new, proof) in [
        (1, 1, &[][..]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ][..],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ][..],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ][..],
        ),
    ] {
        let proof: Vec<Hash> = proof.iter().map(|text| hash(text)).collect();
        assert_eq!(consistency_proof(&leaves[..new], old).as_deref(), Some(&proof[..]), "{old} to {new}");
    }
}

#[test]
fn a_frontier_comes_back_from_its_parts_and_only_from_fitting_ones() {
    let mut frontier = Frontier::new();
    for leaf in leaves(37) {
        let stored = Frontier::from_parts(frontier.size(), frontier.hashes().to_vec());
        assert_eq!(stored.as_ref(), Some(&frontier));
        frontier.push(leaf);
    }
    assert_eq!(Frontier::from_parts(37, vec![[0; 32]; 2]), None);
    assert_eq!(Frontier::from_parts(0, vec![[0; 32]]), None);
    let full = Frontier::from_parts(u64::MAX, vec![[0; 32]; 64]);
    assert_eq!(full, None, "no leaf could be added");
}

#[test]
fn what_is_not_there_has_no_proof() {
    assert_eq!(inclusion_proof(&leaves(4), 4), None);
    assert_eq!(inclusion_proof(&[], 0), None);
    assert_eq!(consistency_proof(&leaves(4), 5), None);
    assert!(!verify_inclusion(&leaves(4)[3], 4, 4, &[], &root(&leaves(4))));
    assert!(!verify_consistency(5, &root(&leaves(5)), 4, &root(&leaves(4)), &[]));
    assert!(!verify_consistency(3, &root(&leaves(3)), 4, &root(&leaves(4)), &[]));
    assert!(verify_consistency(0, &empty_root(), 4, &root(&leaves(4)), &[]));
    assert!(!verify_consistency(0, &[1; 32], 4, &root(&leaves(4)), &[]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn roots_are_as_defined(size in 0_usize..200) {
        let leaves = leaves(size);
        prop_assert_eq!(root(&leaves), defined_root(&leaves));
    }

    #[test]
    fn an_inclusion_proof_proves_its_leaf_and_nothing_else(
        (size, index) in (1_usize..200).prop_flat_map(|size| (Just(size), 0..size)),
        bent in any::<prop::sample::Index>(),
    ) {
        let leaves = leaves(size);
        let (root, at, of) = (root(&leaves), index as u64, size as u64);
        let proof = inclusion_proof(&leaves, at).unwrap();
        prop_assert!(verify_inclusion(&leaves[index], at, of, &proof, &root));
        prop_assert!(!verify_inclusion(&[7; 32], at, of, &proof, &root));
        prop_assert!(!verify_inclusion(&leaves[index], at, of, &proof, &[7; 32]));
        for other in (0..of).filter(|other| *other != at) {
            prop_assert!(!verify_inclusion(&leaves[index], other, of, &proof, &root));
        }
        let longer: Vec<Hash> = proof.iter().copied().chain([[7; 32]]).collect();
        prop_assert!(!verify_inclusion(&leaves[index], at, of, &longer, &root));
        if !proof.is_empty() {
            prop_assert!(!verify_inclusion(&leaves[index], at, of, &proof[1..], &root));
            let mut changed = proof.clone();
            changed[bent.index(proof.len())][0] ^= 1;
            prop_assert!(!verify_inclusion(&leaves[index], at, of, &changed, &root));
        }
    }

    #[test]
    fn a_consistency_proof_proves_growth_and_nothing_else(
        (new, old) in (1_usize..200).prop_flat_map(|new| (Just(new), 0..=new)),
        bent in any::<prop::sample::Index>(),
    ) {
        let leaves = leaves(new);
        let (old_root, new_root) = (root(&leaves[..old]), root(&leaves));
        let (from, to) = (old as u64, new as u64);
        let proof = consistency_proof(&leaves, from).unwrap();
        prop_assert!(verify_consistency(from, &old_root, to, &new_root, &proof));
        prop_assert!(!verify_consistency(from, &[7; 32], to, &new_root, &proof));
        let longer: Vec<Hash> = proof.iter().copied().chain([[7; 32]]).collect();
        prop_assert!(!verify_consistency(from, &old_root, to, &new_root, &longer));
        if !proof.is_empty() {
            prop_assert!(!verify_consistency(from, &old_root, to, &[7; 32], &proof));
            let mut changed = proof.clone();
            changed[bent.index(proof.len())][0] ^= 1;
            prop_assert!(!verify_consistency(from, &old_root, to, &new_root, &changed));
        }
    }
}
