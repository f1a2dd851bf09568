//! The cheapest path of T steps over a grid, by dynamic programming.

/// The points, first to last, of the path from point 0 to point `points − 1` in exactly `steps` rising steps with the least
/// total `cost(s, t)`. O(steps · points²).
pub fn cheapest(points: usize, steps: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    // Each cost is asked for once: it may be dear.
    let costs: Vec<Vec<f64>> = (0..points).map(|t| (0..t).map(|s| cost(s, t)).collect()).collect();
    let mut total = vec![f64::INFINITY; points];
    if let Some(start) = total.first_mut() {
        *start = 0.0;
    }
    let mut parents: Vec<Vec<usize>> = Vec::with_capacity(steps);
    for _ in 0..steps {
        let (next, parent): (Vec<f64>, Vec<usize>) = costs
            .iter()
            .map(|from| {
                let sums = from.iter().zip(&total).map(|(c, before)| c + before).enumerate();
                sums.fold(
                    (f64::INFINITY, 0),
                    |best, (s, sum)| if sum < best.0 { (sum, s) } else { best },
                )
            })
            .unzip();
        total = next;
        parents.push(parent);
    }
    let mut path = vec![points.saturating_sub(1)];
    for parent in parents.iter().rev() {
        let here = path.last().copied().unwrap_or(0);
        path.push(parent.get(here).copied().unwrap_or(0));
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_cheaper() {
        // A cost without structure, and every path tried.
        let cost = |s: usize, t: usize| ((s * 7919 + t * 104_729) % 97) as f64 + (t - s) as f64;
        let points = 8;
        for steps in 1..=7 {
            let path = cheapest(points, steps, cost);
            assert_eq!((path[0], path[steps], path.len()), (0, 7, steps + 1));
            let total = |p: &[usize]| p.windows(2).map(|w| cost(w[0], w[1])).sum::<f64>();
            let mut least = f64::INFINITY;
            for inner in 0u32..1 << 6 {
                if inner.count_ones() as usize == steps - 1 {
                    let between = (1..7).filter(|i| inner >> (i - 1) & 1 == 1);
                    let other: Vec<usize> = [0].into_iter().chain(between).chain([7]).collect();
                    least = least.min(total(&other));
                }
            }
            assert_eq!(total(&path), least, "{steps}");
        }
    }
}
