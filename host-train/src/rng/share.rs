//! The rows of a batch that one process computes.

/// Consecutive rows of a batch that one process computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Index of the first row.
    pub first: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of rows in the whole batch.
    pub of: usize,
}

impl From<usize> for Share {
    /// A whole batch.
    fn from(rows: usize) -> Self {
        Self {
            first: 0,
            rows,
            of: rows,
        }
    }
}

impl Share {
    /// The share of `rank` when `ranks` processes divide a batch of `of` rows.
    pub fn of_rank(of: usize, rank: usize, ranks: usize) -> Self {
        let begin = |rank: usize| of * rank / ranks.max(1);
        Self {
            first: begin(rank),
            rows: begin(rank + 1) - begin(rank),
            of,
        }
    }

    /// Returns the fraction of the batch: the weight of this share's mean in the batch's mean.
    pub fn fraction(&self) -> f64 {
        self.rows as f64 / self.of as f64
    }

    /// Returns how many of the batch's first `count` rows are in this share.
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
        let found = [0, 1, 2].map(|rank| Share::of_rank(90, rank, 3).among_first(32));
        assert_eq!(found, [30, 2, 0]);
        assert_eq!(Share::from(20).among_first(32), 20);
    }
}
