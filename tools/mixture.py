"""Mixtures of Gaussians as models of levels: rows of whole numbers 0 to `levels` - 1.

A level k stands for the cell [k, k + 1); the cells at the ends reach to infinity. So a mixture gives every row of levels
a probability, which can be compared with that of any other model of the same rows.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr, ndtri
from sklearn.mixture import GaussianMixture

Array = NDArray[np.float64]


class Mixture(NamedTuple):
    """Weights (C), means (C, D) and lower Cholesky factors of the covariances (C, D, D)."""

    weights: Array
    means: Array
    factors: Array

    def sample(self, count: int, levels: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draws rows of levels."""
        component = rng.choice(len(self.weights), size=count, p=self.weights)
        noise = rng.standard_normal((count, self.means.shape[1]))
        values = self.means[component] + np.einsum("nij,nj->ni", self.factors[component], noise)
        return np.clip(np.floor(values), 0, levels - 1).astype(np.int64)

    def shrunk(self, share: float) -> "Mixture":
        """Returns the mixture with this share of every covariance off the diagonal taken away (0 to 1)."""
        covariances = self.factors @ self.factors.transpose(0, 2, 1)
        kept = np.where(np.eye(self.means.shape[1], dtype=bool), 1.0, 1.0 - share)
        return self._replace(factors=np.linalg.cholesky(covariances * kept))

    def log_probability(self, rows: Array, levels: int, draws: int, rng: np.random.Generator) -> Array:
        """Returns the logarithm of an estimate of the probability of each row of levels.

        The estimate is that of Geweke, Hajivassiliou and Keane: it is exact for diagonal covariances and without bias
        for full ones, so the mean of its logarithm is at most that of the probability.
        """
        lower = np.where(rows <= 0, -np.inf, rows)
        upper = np.where(rows >= levels - 1, np.inf, rows + 1)
        parts = [
            np.log(weight) + log_box(mean, factor, lower, upper, draws, rng)
            for weight, mean, factor in zip(self.weights, self.means, self.factors)
        ]
        return logsumexp(parts, axis=0)


def fit(rows: Array, components: int, kind: str, variance: float, seed: int) -> Mixture:
    """Fits a mixture by expectation maximization to the middles of the cells.

    kind: "full" or "diag" covariances. variance: added to the diagonal of each. The rows need no noise, which
    densities would: a cell has a probability however narrow a Gaussian is.
    """
    found = GaussianMixture(components, covariance_type=kind, reg_covar=variance, random_state=seed).fit(rows + 0.5)
    factors = np.linalg.cholesky(found.covariances_) if kind == "full" else diagonals(np.sqrt(found.covariances_))
    return Mixture(found.weights_, found.means_, factors)


def diagonals(deviations: Array) -> Array:
    """Returns a diagonal matrix for each row."""
    return deviations[:, :, None] * np.eye(deviations.shape[1])


def log_box(mean: Array, factor: Array, lower: Array, upper: Array, draws: int, rng: np.random.Generator) -> Array:
    """Estimates the log probability that a Gaussian lies between `lower` and `upper` (N, D), dimension by dimension.

    Each dimension is given those before it, which are drawn within their bounds.
    """
    count, dim = lower.shape
    noise = np.zeros((draws, count, dim))
    log = np.zeros((draws, count))
    for d in range(dim):
        center = mean[d] + noise[:, :, :d] @ factor[d, :d]
        low, high = (lower[:, d] - center) / factor[d, d], (upper[:, d] - center) / factor[d, d]
        # Above the mean the distribution function rounds to 1: the same interval on the other side has all digits.
        flip = low > 0
        low, high = np.where(flip, -high, low), np.where(flip, -low, high)
        begin, end = ndtr(low), ndtr(high)
        mass = np.maximum(end - begin, np.finfo(np.float64).tiny)
        log += np.log(mass)
        drawn = np.clip(ndtri(begin + rng.random(mass.shape) * mass), low, high)
        # An interval without mass that a double can hold: its end next to the mean.
        drawn = np.where(np.isfinite(drawn), drawn, high)
        noise[:, :, d] = np.where(flip, -drawn, drawn)
    return logsumexp(log, axis=0) - np.log(draws)
