//! The choice of the rows held back: a permutation that depends on the seed and the number of rows alone.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Row numbers of each part of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deal {
    /// Rows to train on.
    pub train: Vec<usize>,
    /// Rows that choices are made on.
    pub validation: Vec<usize>,
    /// Rows held back for the test.
    pub test: Vec<usize>,
}

/// Deals `rows` rows, of which `test_rows` (at most `rows`) are held back. The number of validation rows does not
/// change the choice of those.
pub(super) fn deal(rows: usize, test_rows: usize, validation_rows: usize, seed: u64) -> Deal {
    let mut test = permutation(rows, seed);
    let mut validation = test.split_off(test_rows.min(rows));
    let train = validation.split_off(validation_rows.min(validation.len()));
    Deal {
        train,
        validation,
        test,
    }
}

/// Fisher–Yates shuffle of `0..rows`: every order equally likely.
///
/// The generator is the split's own, so that nothing else a run draws can move a row from one side to the other.
fn permutation(rows: usize, seed: u64) -> Vec<usize> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..rows).collect();
    for last in (1..rows).rev() {
        order.swap(last, below(&mut rng, last as u64 + 1) as usize);
    }
    order
}

/// Draws a number in `0..bound`, each equally likely: the high half of a product, where the few draws that would favor
/// some results are rejected.
fn below(rng: &mut Xoshiro256PlusPlus, bound: u64) -> u64 {
    let surplus = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if product as u64 >= surplus {
            return (product >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_dealt_once() {
        let Deal {
            mut train,
            validation,
            test,
        } = deal(1797, 297, 200, 0);
        assert_eq!((train.len(), validation.len(), test.len()), (1300, 200, 297));
        train.extend(validation);
        train.extend(test);
        train.sort_unstable();
        assert!(train.into_iter().eq(0..1797));
    }

    #[test]
    fn a_seed_fixes_the_split_for_ever() {
        // Changing these numbers makes every published ELBO incomparable with the new ones.
        assert_eq!(
            deal(1797, 297, 0, 0).test[..8],
            [1780, 277, 974, 570, 1456, 1136, 328, 1529]
        );
        assert_ne!(deal(1797, 297, 0, 1), deal(1797, 297, 0, 0));
    }

    #[test]
    fn no_bound_is_out_of_reach() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut seen = [0; 7];
        (0..7000).for_each(|_| seen[below(&mut rng, 7) as usize] += 1);
        assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
    }
}
