//! The cheapest path of T steps over a grid, by dynamic programming.

/// Returns the points of the path in exactly `steps` rising steps with the least `begin(first) + Σ step(s, t) +
/// end(last)`. An infinite cost forbids a step. O(steps · points²).
pub fn cheapest(
    points: usize,
    steps: usize,
    begin: impl Fn(usize) -> f64,
    step: impl Fn(usize, usize) -> f64,
    end: impl Fn(usize) -> f64,
) -> Vec<usize> {
    // Each cost is asked for once: it may be expensive.
    let costs: Vec<Vec<f64>> = (0..points).map(|t| (0..t).map(|s| step(s, t)).collect()).collect();
    let mut total: Vec<f64> = (0..points).map(begin).collect();
    let mut parents: Vec<Vec<usize>> = Vec::with_capacity(steps);
    for _ in 0..steps {
        let (next, parent): (Vec<f64>, Vec<usize>) = costs
            .iter()
            .map(|from| least(from.iter().zip(&total).map(|(c, before)| c + before)))
            .unzip();
        total = next;
        parents.push(parent);
    }
    let (_, last) = least(total.iter().enumerate().map(|(t, sum)| sum + end(t)));
    let mut path = vec![last];
    for parent in parents.iter().rev() {
        let here = path.last().copied().unwrap_or(0);
        path.push(parent.get(here).copied().unwrap_or(0));
    }
    path.reverse();
    path
}

/// Returns the least of some costs and its index.
fn least(costs: impl Iterator<Item = f64>) -> (f64, usize) {
    costs.enumerate().fold(
        (f64::INFINITY, 0),
        |best, (index, cost)| if cost < best.0 { (cost, index) } else { best },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_cheaper() {
        // A cost without structure, and every path tried.
        let step = |s: usize, t: usize| ((s * 7919 + t * 104_729) % 97) as f64 + (t - s) as f64;
        let free = |i: usize| ((i * 31) % 11) as f64 * 8.0;
        let fixed = |at: usize| move |i: usize| if i == at { 0.0 } else { f64::INFINITY };
        let points = 8;
        for steps in 1..=7 {
            let total = |p: &[usize]| p.windows(2).map(|w| step(w[0], w[1])).sum::<f64>();
            let mut least = [f64::INFINITY; 2];
            for chosen in 0u32..1 << points {
                if chosen.count_ones() as usize == steps + 1 {
                    let other: Vec<usize> = (0..points).filter(|i| chosen >> i & 1 == 1).collect();
                    let ends = free(other[0]) + free(7 - other[steps]);
                    least[0] = least[0].min(total(&other) + ends);
                    if (other[0], other[steps]) == (0, 7) {
                        least[1] = least[1].min(total(&other));
                    }
                }
            }
            let path = cheapest(points, steps, free, step, |i| free(7 - i));
            assert_eq!(path.len(), steps + 1);
            assert_eq!(
                total(&path) + free(path[0]) + free(7 - path[steps]),
                least[0],
                "{steps}"
            );
            let path = cheapest(points, steps, fixed(0), step, fixed(7));
            assert_eq!((path[0], path[steps]), (0, 7));
            assert_eq!(total(&path), least[1], "{steps}");
        }
    }
}
