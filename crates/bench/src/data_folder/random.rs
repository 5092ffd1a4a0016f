//! Numbers that look random and follow from what they are for.

/// One number for these numbers (SplitMix64, a step for each).
pub(crate) fn number(of: &[u64]) -> u64 {
    of.iter().fold(0x9e37_79b9_7f4a_7c15, |state, number| {
        let mut mixed = (state ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// So many octets for these numbers.
pub(crate) fn bytes<const COUNT: usize>(of: &[u64]) -> [u8; COUNT] {
    let (mut octets, start) = ([0; COUNT], number(of));
    for (place, chunk) in octets.chunks_mut(8).enumerate() {
        let word = number(&[start, place as u64]).to_le_bytes();
        chunk.iter_mut().zip(word).for_each(|(octet, random)| *octet = random);
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_with_all_that_they_are_for() {
        let all: std::collections::BTreeSet<u64> =
            (0..100).flat_map(|one| (0..100).map(move |other| number(&[one, other]))).collect();
        assert_eq!(all.len(), 10_000);
        assert_eq!(bytes::<20>(&[1, 2]), bytes::<20>(&[1, 2]));
        assert_ne!(bytes::<20>(&[1, 2]), bytes::<20>(&[2, 1]));
    }
}
