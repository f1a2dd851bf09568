"""Commands with a time limit and a log, and configurations and results of `host-train`."""

import json
import os
import re
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

CONFIGS = Path(__file__).resolve().parent.parent / "host-train" / "configs"
Value = str | int | float | bool | list[int] | None
POSITION = re.compile(r"training: (\d+)/(\d+)")


class Failure(Exception):
    """A check that has failed; the message is one sentence."""


class LeftOut(Exception):
    """A part that this machine cannot run; the message says what is missing."""


class Line(NamedTuple):
    """A line of output and the seconds after the command's start at which it came."""

    seconds: float
    text: str


class Finished(NamedTuple):
    """A command that has ended."""

    code: int
    lines: list[Line]
    seconds: float

    def text(self) -> str:
        """Returns everything that it printed."""
        return "\n".join(line.text for line in self.lines)

    def last(self) -> str:
        """Returns the last line that is not empty."""
        return next((line.text for line in reversed(self.lines) if line.text.strip()), "it printed nothing")


class Log:
    """The log of a part, and the time at which its commands must have ended."""

    def __init__(self, path: Path, limit: float) -> None:
        self.file = path.open("w")
        self.end = time.monotonic() + limit

    def run(
        self,
        command: Sequence[str | Path],
        codes: Sequence[int] = (0,),
        env: Mapping[str, str] | None = None,
        interrupt: Callable[[Line], bool] = lambda line: False,
    ) -> Finished:
        """Runs a command. It fails if it ends with none of the codes, or not in time.

        interrupt: whether to send Ctrl-C after a line.
        """
        words = [str(word) for word in command]
        print("$", *words, file=self.file, flush=True)
        begin = time.monotonic()
        lines: list[Line] = []
        interrupted = False
        # The command and everything that it starts are a session of their own.
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "HOST_TRAIN_PROGRESS_SECONDS": "0.2", **(env or {})},
            start_new_session=True,
        ) as process:
            timer = threading.Timer(max(0.0, self.end - begin), os.killpg, (process.pid, signal.SIGKILL))
            timer.start()
            assert process.stdout
            for text in process.stdout:
                line = Line(time.monotonic() - begin, text.rstrip("\n"))
                lines.append(line)
                print(f"{line.seconds:8.2f} {line.text}", file=self.file, flush=True)
                if not interrupted and interrupt(line):
                    interrupted = True
                    process.send_signal(signal.SIGINT)
            code = process.wait()
        in_time = timer.is_alive()
        timer.cancel()
        finished = Finished(code, lines, time.monotonic() - begin)
        print(f"{finished.seconds:8.2f} ended with {code}", file=self.file, flush=True)
        if not in_time:
            raise Failure(f"{Path(words[0]).name} did not end in time; its last line: {finished.last()}")
        if code not in codes:
            raise Failure(f"{Path(words[0]).name} ended with {code}: {finished.last()}")
        return finished


def configure(folder: Path, base: str, changes: Mapping[str, Value]) -> Path:
    """Writes a configuration of the repository with other values for some keys ("train.steps"); None takes one out."""
    kept, section, sections = [], "", {key.rpartition(".")[0] for key in changes}
    for line in (CONFIGS / base).read_text().splitlines():
        key = line.partition("=")[0].strip()
        if line.startswith("["):
            section = line.strip().strip("[]")
        elif f"{section}.{key}".lstrip(".") in changes:
            continue
        kept.append(line)
        if line.startswith("[") and section in sections:
            own = [(key, value) for key, value in changes.items() if key.rpartition(".")[0] == section]
            kept += [f"{key.rpartition('.')[2]} = {json.dumps(value)}" for key, value in own if value is not None]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.toml"
    path.write_text("\n".join(kept) + "\n")
    return path


class Runs:
    """Training runs of a program, each in a folder of its own."""

    def __init__(self, program: Path, folder: Path, log: Log) -> None:
        self.program, self.folder, self.log = program, folder, log

    def command(self, name: str, base: str, changes: Mapping[str, Value], cuda: bool = True) -> list[str | Path]:
        """Returns the command that trains a run, whose configuration it writes."""
        config = configure(self.folder / name, base, changes)
        gpu = ["--cuda"] if cuda else []
        return [self.program, "train", config, "--out", self.folder / name, *gpu]

    def train(self, name: str, base: str, changes: Mapping[str, Value], cuda: bool = True) -> Path:
        """Trains a run; returns its folder."""
        self.log.run(self.command(name, base, changes, cuda))
        return self.folder / name

    def rate(self, name: str, base: str, changes: Mapping[str, Value], seconds: float) -> float:
        """Returns the optimizer steps per second of a run, measured for some seconds after a warm-up of 100 steps."""
        points: list[tuple[float, int]] = []

        def interrupt(line: Line) -> bool:
            found = POSITION.search(line.text)
            if found and int(found[1]) >= 100:
                points.append((line.seconds, int(found[1])))
            return bool(points) and points[-1][0] - points[0][0] >= seconds

        # A million steps is more than any GPU makes in the time.
        endless = {**changes, "train.steps": 1_000_000, "data.validation_rows": None}
        self.log.run(self.command(name, base, endless), (0, 130), interrupt=interrupt)
        if len(points) < 2:
            raise Failure(f"{name} reported no progress")
        (begin, first), (end, last) = points[0], points[-1]
        return (last - first) / (end - begin)


class Result(NamedTuple):
    """What a part found, for the table, and more for below it."""

    found: str
    details: str = ""


class Machine(NamedTuple):
    """The programs that a part runs, its folder and its log."""

    program: Path
    tests: Path
    folder: Path
    log: Log

    def runs(self) -> Runs:
        """Returns the training runs of the part."""
        return Runs(self.program, self.folder, self.log)


def losses(folder: Path) -> list[float]:
    """Returns the negative ELBO of each row of a run's log."""
    rows = (folder / "losses.csv").read_text().splitlines()[1:]
    return [float(row.split(",")[1]) for row in rows]


def tensors(path: Path) -> dict[str, bytes]:
    """Returns the bytes of each tensor of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    start = 8 + length
    spans = {name: entry["data_offsets"] for name, entry in header.items()}
    return {name: data[start + first : start + last] for name, (first, last) in spans.items()}
