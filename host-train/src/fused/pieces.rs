//! Work in pieces. Pieces depend on the shape alone and each is computed by one thread, so results have the same bits
//! on any number of threads.

use rayon::prelude::*;

/// Rows of a batch that go through all layers together: their activations stay in the second-level cache.
pub const BATCH_ROWS: usize = 128;
/// Rows of a weight matrix whose gradient is one piece.
pub const MATRIX_ROWS: usize = 256;

/// Runs `work` on every piece, on rayon's threads.
pub fn each<T: Send>(pieces: Vec<T>, work: impl Fn(T) + Send + Sync) {
    if pieces.len() < 2 || rayon::current_num_threads() < 2 {
        // Waking a pool of one thread costs two switches and gains nothing.
        pieces.into_iter().for_each(work);
    } else {
        // One piece at a time: they differ in size.
        pieces.into_par_iter().with_max_len(1).for_each(work);
    }
}
