"""Numbers of `cargo xtask quality` that need scikit-learn.

Usage:
  quality.py mixtures FOLDER --count N    fits mixtures of Gaussians to FOLDER/train.csv, chooses their settings on
                                          FOLDER/validation.csv, scores FOLDER/test.csv and writes samples there
  quality.py judge TRAINING FILE...       trains a classifier of digits on TRAINING (labels in the last column) and says
                                          how sure it is of the images of each file
Both print one JSON list.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

from mixture import Array, Mixture, fit

LEVELS = 17
SEED = 0
VARIANCES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
CHOOSING_DRAWS = 8
REPORTED_DRAWS = 64


class Baseline(NamedTuple):
    """A kind of mixture in the table."""

    name: str
    components: int
    kind: str
    shrinkages: tuple[float, ...]


BASELINES = (
    Baseline("mixture-full", 20, "full", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)),
    Baseline("mixture-diagonal", 40, "diag", (0.0,)),
)


def read(path: Path) -> Array:
    """Reads rows of numbers, compressed or not."""
    return np.loadtxt(path, delimiter=",", ndmin=2)


def bits_per_dim(mixture: Mixture, rows: Array, draws: int) -> Array:
    """Returns the bits per dimension of each row."""
    log = mixture.log_probability(rows, LEVELS, draws, np.random.default_rng(SEED))
    return -log / (rows.shape[1] * np.log(2))


def mixtures(folder: Path, count: int) -> list[dict[str, object]]:
    """Fits, chooses, scores and samples each baseline."""
    train, validation, test = (read(folder / f"{part}.csv") for part in ("train", "validation", "test"))
    found = []
    for name, components, kind, shrinkages in BASELINES:
        choosing, reported = (CHOOSING_DRAWS, REPORTED_DRAWS) if kind == "full" else (1, 1)
        tried = []
        for variance in VARIANCES:
            fitted = fit(train, components, kind, variance, SEED)
            for shrinkage in shrinkages:
                mixture = fitted.shrunk(shrinkage)
                tried.append((bits_per_dim(mixture, validation, choosing).mean(), variance, shrinkage, mixture))
        _, variance, shrinkage, best = min(tried, key=lambda entry: entry[0])
        bits = bits_per_dim(best, test, reported)
        file = folder / f"{name}.csv"
        np.savetxt(file, best.sample(count, LEVELS, np.random.default_rng(SEED)), fmt="%d", delimiter=",")
        found.append(
            {
                "name": name,
                "file": str(file),
                "components": components,
                "kind": kind,
                "variance": variance,
                "shrinkage": shrinkage,
                "bits_per_dim": bits.mean(),
                "standard_error": bits.std(ddof=1) / len(bits) ** 0.5,
            }
        )
    return found


def judge(training: Path, files: list[Path]) -> list[dict[str, object]]:
    """Returns the mean confidence, and the share of images below one half, of each file."""
    labeled = read(training)
    scale = LEVELS - 1
    classifier = SVC(kernel="rbf", C=10.0, probability=True, random_state=SEED)
    classifier.fit(labeled[:, :-1] / scale, labeled[:, -1])

    def confidence(file: Path) -> NDArray[np.float64]:
        return classifier.predict_proba(read(file) / scale).max(axis=1)

    found = []
    for file in files:
        sure = confidence(file)
        found.append({"file": str(file), "confidence": sure.mean(), "below_half": (sure < 0.5).mean()})
    return found


def main() -> None:
    """Runs the command that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("mixtures")
    command.add_argument("folder", type=Path)
    command.add_argument("--count", type=int, required=True)
    command = commands.add_parser("judge")
    command.add_argument("training", type=Path)
    command.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "mixtures":
        found = mixtures(arguments.folder, arguments.count)
    else:
        found = judge(arguments.training, arguments.files)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
