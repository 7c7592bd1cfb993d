//! Root of a Merkle tree as in RFC 6962, section 2.1: leaves and nodes are hashed under different
//! first bytes, so that no node passes for a leaf.

use sha2::{Digest as _, Sha256};

/// Leaves are given one by one; only one hash a level is kept.
#[derive(Debug, Default)]
pub struct MerkleTree {
    /// Roots of the complete trees on the left, tallest first.
    peaks: Vec<[u8; 32]>,
    leaves: u64,
}

impl MerkleTree {
    /// Adds a leaf on the right.
    pub fn push(&mut self, leaf: &[u8]) {
        let mut hash = Sha256::new().chain_update([0]).chain_update(leaf).finalize().into();
        // Each trailing one bit of the count is a complete tree that the new leaf doubles.
        for _ in 0..self.leaves.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.leaves += 1;
    }

    /// The root, 32 bytes; of no leaf, the digest of nothing.
    pub fn root(mut self) -> [u8; 32] {
        let Some(last) = self.peaks.pop() else { return Sha256::digest([]).into() };
        self.peaks.iter().rev().fold(last, |right, left| node(left, &right))
    }
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hex;

    fn root<T: AsRef<[u8]>>(leaves: &[T]) -> [u8; 32] {
        let mut tree = MerkleTree::default();
        leaves.iter().for_each(|l| tree.push(l.as_ref()));
        tree.root()
    }

    /// The definition, word for word: split at the largest power of two below the count.
    fn by_definition(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => Sha256::digest([&[0], leaf.as_slice()].concat()).into(),
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                Sha256::digest([&[1][..], &by_definition(left), &by_definition(right)].concat()).into()
            }
        }
    }

    #[test]
    fn known_trees_of_certificate_transparency() {
        let leaves: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        for (n, want) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
            (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(hex(&root(&leaves[..n])), want, "{n}");
        }
    }

    #[test]
    fn leaf_by_leaf_equals_the_definition() {
        let leaves: Vec<Vec<u8>> = (0..70_u8).map(|i| vec![i; usize::from(i % 5)]).collect();
        for n in 0..leaves.len() {
            assert_eq!(root(&leaves[..n]), by_definition(&leaves[..n]), "{n}");
        }
    }

    #[test]
    fn a_node_does_not_pass_for_a_leaf() {
        let pair = root(&["a", "b"]);
        let hashes = [root(&["a"]), root(&["b"])].concat();
        assert_ne!(pair, root(&[hashes]));
    }
}
