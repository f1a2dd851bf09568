#!/usr/bin/env python3
"""Everything that is to be checked and measured on a machine with an NVIDIA GPU, in under ten minutes.

Usage:
  gpu_checklist.py --program host-train --tests fused-<hash> --out FOLDER [--limit SECONDS] [--only PART,...]

Checks come before measurements. Every part has a time limit and a log of its own in FOLDER, and a part that fails does
not stop the next. FOLDER/summary.md holds the table of results, also while the script runs. docs/gpu-checklist.md says
how to build both programs and what each part shows. Python 3.11 or newer; PyTorch only for the comparisons with it.
"""

import argparse
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import gpu_checks as checks
import gpu_speeds as speeds
from gpu_commands import Failure, LeftOut, Log, Machine, Result


class Part(NamedTuple):
    """A row of the table, with the seconds that it may take."""

    name: str
    limit: float
    run: Callable[[Machine], Result]


# The most important first. Checks run at the same time, measurements one after another.
CHECKS = (
    Part("tests", 150, checks.tests),
    Part("bytes", 150, checks.same_bytes),
    Part("losses", 100, checks.losses_of_the_cpu),
    Part("memcheck", 200, checks.memcheck),
    Part("racecheck", 200, checks.racecheck),
    Part("initcheck", 200, checks.initcheck),
    Part("continuous", 100, checks.continuous_time),
    Part("errors", 100, checks.errors),
)
MEASUREMENTS = (
    Part("digits-speed", 120, speeds.digits),
    Part("digits-whole", 100, speeds.whole_digits),
    Part("bench-large", 120, speeds.large),
    Part("bench-bf16", 120, speeds.beside_pytorch("bf16")),
    Part("bench-tf32", 120, speeds.beside_pytorch("tf32")),
    Part("bench-f32", 120, speeds.beside_pytorch("f32")),
    Part("profile", 90, speeds.profile),
)
# Checks at the same time: they share the GPU and divide the processor.
TOGETHER = 6


class Summary:
    """The table of results, rewritten after each part."""

    def __init__(self, path: Path, parts: Sequence[Part]) -> None:
        self.path, self.gpu, self.begin = path, gpu_name(), time.monotonic()
        self.rows = {part.name: "| not reached | | |" for part in parts}
        self.details: dict[str, str] = {}
        self.failed = False
        self.lock = threading.Lock()

    def add(self, name: str, state: str, seconds: float, result: Result) -> None:
        """Sets the row of a part and prints it."""
        found = result.found.replace("|", "\\|").replace("\n", " ")
        with self.lock:
            self.rows[name] = f"| {state} | {seconds:.0f} | {found} |"
            self.failed |= state == "FAILED"
            if result.details:
                self.details[name] = result.details
            self.path.write_text(self.text())
            print(f"{time.monotonic() - self.begin:6.0f} s  {name}: {state}: {found}", flush=True)

    def text(self) -> str:
        """Returns the whole page."""
        lines = [self.gpu, "", "| part | result | seconds | found |", "|---|---|---|---|"]
        lines += [f"| {name} {row}" for name, row in self.rows.items()]
        for name, details in self.details.items():
            lines += ["", f"**{name}**", "", details]
        return "\n".join(lines) + "\n"


def gpu_name() -> str:
    """Returns the GPU's name, driver and memory."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi: {error}"


def run_part(part: Part, arguments: argparse.Namespace, end: float, summary: Summary) -> None:
    """Runs a part within its limit and the time that is left, and adds its row."""
    begin = time.monotonic()
    limit = min(part.limit, end - begin)
    if limit < 5:
        return
    log = Log(arguments.out / f"{part.name}.log", limit)
    machine = Machine(arguments.program, arguments.tests, arguments.out / "runs" / part.name, log)
    machine.folder.mkdir(parents=True, exist_ok=True)
    try:
        state, result = "passed", part.run(machine)
    except LeftOut as reason:
        state, result = "left out", Result(str(reason))
    except Failure as failure:
        state, result = "FAILED", Result(str(failure))
    except Exception as error:
        # A mistake in this script must not cost the other parts.
        traceback.print_exc(file=log.file)
        state, result = "FAILED", Result(f"{type(error).__name__}: {error}")
    log.file.flush()
    summary.add(part.name, state, time.monotonic() - begin, result)


def main() -> int:
    """Runs the parts and prints the table; returns 1 if any has failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True, help="host-train, built with the feature `cuda`")
    parser.add_argument("--tests", type=Path, required=True, help="the test program `fused` of the same build")
    parser.add_argument("--out", type=Path, required=True, help="folder for logs, runs and the table")
    parser.add_argument("--limit", type=float, default=570, help="seconds for everything (%(default)s)")
    parser.add_argument("--only", type=lambda text: text.split(","), help="parts to run, with commas between them")
    arguments = parser.parse_args()
    for name in ("program", "tests", "out"):
        setattr(arguments, name, getattr(arguments, name).resolve())
    known = [part.name for part in (*CHECKS, *MEASUREMENTS)]
    unknown = sorted(set(arguments.only or []) - set(known))
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}: there are {', '.join(known)}")
    wanted = set(arguments.only or known)
    chosen = [[part for part in group if part.name in wanted] for group in (CHECKS, MEASUREMENTS)]
    arguments.out.mkdir(parents=True, exist_ok=True)
    summary = Summary(arguments.out / "summary.md", chosen[0] + chosen[1])
    end = time.monotonic() + arguments.limit
    with ThreadPoolExecutor(TOGETHER) as pool:
        for part in chosen[0]:
            pool.submit(run_part, part, arguments, end, summary)
    for part in chosen[1]:
        run_part(part, arguments, end, summary)
    print("\n" + summary.text(), end="")
    return int(summary.failed)


if __name__ == "__main__":
    sys.exit(main())
