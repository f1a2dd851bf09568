"""Tests of `mixture.py`: python -m unittest discover --start-directory tools"""

import itertools
import unittest

import numpy as np
from mixture import Mixture, diagonals, fit, log_box
from scipy.special import ndtr
from scipy.stats import multivariate_normal


class TestMixture(unittest.TestCase):
    """Probabilities of rows of levels."""

    def setUp(self) -> None:
        self.rng = np.random.default_rng(1)

    def test_a_diagonal_box_is_a_product(self) -> None:
        mean, deviation = np.array([0.3, -1.0, 2.0]), np.array([0.5, 1.0, 2.0])
        lower, upper = np.array([[0.0, 1.0, -np.inf]]), np.array([[1.0, 2.0, 1.0]])
        found = log_box(mean, np.diag(deviation), lower, upper, 1, self.rng)
        exact = np.log(ndtr((upper - mean) / deviation) - ndtr((lower - mean) / deviation)).sum()
        self.assertAlmostEqual(found[0], exact, places=12)

    def test_a_box_far_above_the_mean_keeps_its_mass(self) -> None:
        bounds = np.array([[20.0], [-21.0]]), np.array([[21.0], [-20.0]])
        found = log_box(np.zeros(1), np.eye(1), *bounds, 1, self.rng)
        self.assertAlmostEqual(found[0], found[1], places=12)
        self.assertAlmostEqual(found[0], -203.917155, places=5)

    def test_a_full_box_agrees_with_integration(self) -> None:
        covariance = np.array([[1.0, 0.7], [0.7, 2.0]])
        mean = np.array([0.2, -0.1])
        box = np.array([-0.5, 0.5]), np.array([1.0, 3.0])
        found = log_box(mean, np.linalg.cholesky(covariance), box[0][None], box[1][None], 20_000, self.rng)
        exact = multivariate_normal(mean, covariance).cdf(box[1], lower_limit=box[0])
        # 20,000 draws scatter by less than a thousandth.
        self.assertAlmostEqual(np.exp(found[0]), exact, delta=3e-3 * exact)

    def test_all_rows_together_have_probability_one(self) -> None:
        rows = np.array(list(itertools.product(range(3), repeat=2)), dtype=np.float64)
        factors = np.array([[[0.8, 0.0], [0.3, 0.5]], [[0.4, 0.0], [-0.6, 1.0]]])
        mixture = Mixture(np.array([0.3, 0.7]), np.array([[0.5, 1.0], [2.5, 1.5]]), factors)
        total = np.exp(mixture.log_probability(rows, 3, 20_000, self.rng)).sum()
        self.assertAlmostEqual(total, 1.0, delta=3e-3)

    def test_samples_have_the_probabilities(self) -> None:
        mixture = Mixture(np.array([0.3, 0.7]), np.array([[0.5], [2.5]]), diagonals(np.array([[0.5], [0.7]])))
        drawn = np.bincount(mixture.sample(100_000, 3, self.rng)[:, 0], minlength=3) / 100_000
        exact = np.exp(mixture.log_probability(np.arange(3.0)[:, None], 3, 1, self.rng))
        # Five standard errors.
        self.assertLess(np.abs(drawn - exact).max(), 5 * 0.5 / 100_000**0.5)

    def test_shrinkage_keeps_the_diagonal(self) -> None:
        mixture = Mixture(np.ones(1), np.zeros((1, 2)), np.linalg.cholesky(np.array([[[1.0, 0.8], [0.8, 2.0]]])))
        factor = mixture.shrunk(0.25).factors[0]
        np.testing.assert_allclose(factor @ factor.T, [[1.0, 0.6], [0.6, 2.0]], atol=1e-12)

    def test_a_fit_finds_two_groups(self) -> None:
        rows = np.repeat([[1.0, 7.0], [6.0, 2.0]], 50, axis=0) + self.rng.integers(-1, 2, (100, 2))
        for kind in ("full", "diag"):
            mixture = fit(rows, 2, kind, 0.01, 0)
            means = mixture.means[np.argsort(mixture.means[:, 0])]
            self.assertLess(np.abs(means - [[1.5, 7.5], [6.5, 2.5]]).max(), 0.5)
            own, other = mixture.log_probability(np.array([[1.0, 7.0], [4.0, 4.0]]), 9, 100, self.rng)
            self.assertGreater(own, other + 3)


if __name__ == "__main__":
    unittest.main()
