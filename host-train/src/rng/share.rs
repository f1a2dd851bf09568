//! The rows of a batch that one process computes.

/// The rows of a batch that one process computes: consecutive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The first of them.
    pub first: usize,
    /// How many.
    pub rows: usize,
    /// Rows of the whole batch.
    pub of: usize,
}

impl From<usize> for Share {
    /// All of a batch.
    fn from(rows: usize) -> Self {
        Self {
            first: 0,
            rows,
            of: rows,
        }
    }
}

impl Share {
    /// The share of `rank` where `ranks` divide a batch of `of` rows.
    pub fn of_rank(of: usize, rank: usize, ranks: usize) -> Self {
        let begin = |rank: usize| of * rank / ranks.max(1);
        Self {
            first: begin(rank),
            rows: begin(rank + 1) - begin(rank),
            of,
        }
    }

    /// Which part of the batch it is: what a mean over its rows counts in the mean over the batch.
    pub fn fraction(&self) -> f64 {
        self.rows as f64 / self.of as f64
    }

    /// How many of the batch's first `count` rows are in it.
    pub fn among_first(&self, count: usize) -> usize {
        count.saturating_sub(self.first).min(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_a_batch_once() {
        for (of, ranks) in [(8, 1), (8, 2), (7, 3), (5, 5), (1000, 7)] {
            let mut next = 0;
            for rank in 0..ranks {
                let share = Share::of_rank(of, rank, ranks);
                assert_eq!((share.first, share.of), (next, of));
                assert!(share.rows >= of / ranks);
                next += share.rows;
            }
            assert_eq!(next, of);
        }
    }

    #[test]
    fn the_first_rows_are_found_in_their_shares() {
        let of = |rank| Share::of_rank(90, rank, 3).among_first(32);
        assert_eq!([of(0), of(1), of(2)], [30, 2, 0]);
        assert_eq!(Share::from(20).among_first(32), 20);
    }
}
