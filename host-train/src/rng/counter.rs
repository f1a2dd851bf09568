//! A generator without a state: words by seed, step, purpose and position.

use super::purpose::Purpose;
use super::share::Share;
use super::source::RandomSource;
use super::uniform::{stratified, unit};
use ancestral::noise::{normal_q28, to_f32};

/// A generator without a state: each word follows from seed, step, purpose and position (Philox4x32-10, Salmon et al.
/// 2011). So the words can be computed in any order, on a GPU too (`fused/cuda/draw.cu`), and are the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the step, from 0.
    pub step: u64,
}

impl Counter {
    /// Returns the words of a purpose in order, `each` for every row of a share.
    fn words(self, purpose: Purpose, share: Share, each: usize) -> impl Iterator<Item = u32> {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let (low, high) = (self.step as u32, (self.step >> 32) as u32);
        let (first, count) = (share.first * each, share.rows * each);
        (first as u32 / 4..)
            .flat_map(move |block| philox([block, purpose.number(), low, high], key))
            .skip(first % 4)
            .take(count)
    }

    /// Returns indices in `0..bound`, each from 64 bits.
    pub fn below(self, bound: usize, rows: impl Into<Share>) -> Vec<usize> {
        let share = rows.into();
        let mut words = self.words(Purpose::Rows, share, 2);
        let mut word = || u128::from(words.next().unwrap_or_default());
        (0..share.rows)
            .map(|_| {
                let (low, high) = (word(), word());
                (((high << 32 | low) * bound as u128) >> 64) as usize
            })
            .collect()
    }

    /// Returns stratified times in [0, 1); see [`RandomSource::draw_times`].
    pub fn times(self, rows: impl Into<Share>) -> impl Iterator<Item = f64> + Clone {
        let word = self.words(Purpose::Times, 1.into(), 1).next().unwrap_or_default();
        stratified(unit(word), rows.into())
    }

    /// Returns standard normals, `each` for every row.
    pub fn normals(self, purpose: Purpose, rows: impl Into<Share>, each: usize) -> Vec<f32> {
        let normal = |word| to_f32(normal_q28(word));
        self.words(purpose, rows.into(), each).map(normal).collect()
    }

    /// Returns uniform numbers in [0, 1), `each` for every row.
    pub fn uniforms(self, purpose: Purpose, rows: impl Into<Share>, each: usize) -> impl Iterator<Item = f32> {
        self.words(purpose, rows.into(), each).map(unit)
    }
}

impl RandomSource for Counter {
    fn draw_indices(&mut self, bound: usize, share: Share) -> Vec<usize> {
        self.below(bound, share)
    }

    fn draw_times(&mut self, share: Share) -> Vec<f64> {
        self.times(share).collect()
    }

    fn draw_normals(&mut self, purpose: Purpose, share: Share, columns: usize) -> Vec<f32> {
        self.normals(purpose, share, columns)
    }

    fn draw_uniforms(&mut self, purpose: Purpose, share: Share, columns: usize) -> Vec<f32> {
        self.uniforms(purpose, share, columns).collect()
    }
}

/// Returns four words for a counter and a key: ten rounds of two 32-bit products.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = 0xD251_1F53 * u64::from(counter[0]);
        let b = 0xCD9E_8D57 * u64::from(counter[2]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers that Random123 publishes for philox4x32-10.
    #[test]
    fn philox_gives_its_known_answers() {
        for (counter, key, expected) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn purposes_and_steps_have_words_of_their_own() {
        let first = Counter { seed: 5, step: 0 };
        let a = first.normals(Purpose::Noise, 10_000, 1);
        assert_eq!(a, first.normals(Purpose::Noise, 10_000, 1));
        assert_ne!(a, first.normals(Purpose::FirstNoise, 10_000, 1));
        assert_ne!(a, Counter { seed: 5, step: 1 }.normals(Purpose::Noise, 10_000, 1));
        assert_ne!(a, Counter { seed: 6, step: 0 }.normals(Purpose::Noise, 10_000, 1));
        let square: f32 = a.iter().map(|v| v * v).sum();
        // Four standard deviations of a mean of 10,000 squares.
        assert!((square / 1e4 - 1.0).abs() < 0.06, "{square}");
        assert!(first.below(7, 1000).iter().all(|i| *i < 7));
        assert!((0..7).all(|i| first.below(7, 1000).contains(&i)));
    }

    #[test]
    fn shares_have_the_words_of_their_rows() {
        let counter = Counter { seed: 5, step: 3 };
        let share = |rank| Share::of_rank(10, rank, 3);
        let check = |part: &dyn Fn(Share) -> Vec<f64>| {
            let shared: Vec<f64> = (0..3).flat_map(|rank| part(share(rank))).collect();
            assert_eq!(shared, part(10.into()));
        };
        check(&|share| counter.times(share).collect());
        check(&|share| {
            counter
                .normals(Purpose::Noise, share, 3)
                .into_iter()
                .map(f64::from)
                .collect()
        });
        check(&|share| counter.uniforms(Purpose::Mask(1), share, 5).map(f64::from).collect());
        check(&|share| counter.below(100, share).into_iter().map(|i| i as f64).collect());
    }
}
