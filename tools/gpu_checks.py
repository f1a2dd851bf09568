"""Checks of the GPU checklist: each returns what it found, or fails with a sentence."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from gpu_commands import Failure, LeftOut, Machine, Result, Value, losses, tensors

# Largest relative difference of a GPU's losses from the CPU's in the first 200 steps of the digits.
SHARES = {"f32": 1e-3, "tf32": 1e-2, "bf16": 3e-2}
# Digits in a few seconds.
SHORT: dict[str, Value] = {"train.steps": 300, "train.warmup": 50, "train.log_every": 20, "train.generator": "counter"}
# Every kernel in a few steps of small networks, which a sanitizer makes some hundred times slower.
TINY: dict[str, Value] = {
    "model.hidden": [64, 64, 48],
    "model.steps": 16,
    "train.steps": 6,
    "train.batch": 96,
    "train.warmup": 0,
    "train.log_every": 2,
    "data.validation_rows": None,
}


def tests(machine: Machine) -> Result:
    """The tests on the GPU, of which none may be left out."""
    skipped = machine.folder / "skipped"
    skipped.mkdir(exist_ok=True)
    command = [machine.tests, "on_gpu"]
    finished = machine.log.run(command, (0, 101), {"ANCESTRAL_SKIPPED": str(skipped), "RUST_BACKTRACE": "1"})
    names = sorted(path.name for path in skipped.iterdir())
    if names:
        raise Failure(f"left out: {', '.join(names)}; {(skipped / names[0]).read_text().strip()}")
    failed = re.findall(r"^test (\S+) \.\.\. FAILED", finished.text(), re.M)
    passed = re.findall(r"^test (\S+) \.\.\. ok", finished.text(), re.M)
    if finished.code or not passed:
        raise Failure(f"{len(passed)} passed, {len(failed)} failed: {', '.join(failed) or finished.last()}")
    return Result(f"{len(passed)} passed")


def same_bytes(machine: Machine) -> Result:
    """The same seed twice, as a graph, as a graph that is broken off and resumed: the same bytes of everything."""
    runs, different, compared = machine.runs(), [], 0

    def compare(one: Path, other: Path) -> None:
        nonlocal compared
        compared += 1
        for name in ("checkpoint.safetensors", "weights.safetensors"):
            a, b = tensors(one / name), tensors(other / name)
            apart = [key for key in a if a[key] != b.get(key)]
            if apart or a.keys() != b.keys():
                different.append(f"{other.name} from {one.name} in {len(apart)} tensors of {name} ({apart[:1]})")
        if losses(one) != losses(other):
            different.append(f"{other.name} from {one.name} in its losses")

    for products in ("f32", "tf32", "bf16"):
        changes = {**SHORT, "train.products": products}
        graph = {**changes, "train.graph": True}
        plain = runs.train(f"{products}-plain", "digits.toml", changes)
        compare(plain, runs.train(f"{products}-again", "digits.toml", changes))
        compare(plain, runs.train(f"{products}-graph", "digits.toml", graph))
        if products == "f32":
            command = runs.command("f32-resumed", "digits.toml", graph)
            machine.log.run([*command, "--stop-at", "130"], (130,))
            machine.log.run([*command, "--resume"])
            compare(plain, machine.folder / "f32-resumed")
    captured = "cannot be captured" not in Path(machine.log.file.name).read_text()
    if different:
        raise Failure("different bytes: " + "; ".join(different))
    if not captured:
        raise Failure("the same bytes, but no graph was captured: the log says why")
    return Result(f"{compared} comparisons of 300 steps, the same bytes in all")


def losses_of_the_cpu(machine: Machine) -> Result:
    """Losses on the GPU beside those of the CPU with the same draws."""
    changes = {**SHORT, "train.steps": 200}
    return compare_losses(machine, "digits.toml", changes, tuple(SHARES))


def continuous_time(machine: Machine) -> Result:
    """The same in continuous time."""
    changes = {**SHORT, "train.steps": 200}
    return compare_losses(machine, "digits-continuous.toml", changes, ("f32",))


def compare_losses(machine: Machine, base: str, changes: dict[str, Value], kinds: Sequence[str]) -> Result:
    """Trains on the CPU and with each kind of products on the GPU; fails if the losses are too far apart."""
    runs = machine.runs()
    expected = losses(runs.train("cpu", base, changes, cuda=False))
    found, wrong = [], []
    for kind in kinds:
        own = losses(runs.train(kind, base, {**changes, "train.products": kind}))
        if len(own) != len(expected):
            raise Failure(f"{kind} has {len(own)} rows in its log, and the CPU {len(expected)}")
        share = max(abs(a - b) / abs(b) for a, b in zip(own, expected))
        found.append(f"{kind} {share:.1e}")
        # Written so that NaN is too far apart.
        if not share <= SHARES[kind]:
            wrong.append(f"{kind} by {share:.1e} of at most {SHARES[kind]:.0e}")
    last = f"last loss {expected[-1]:.4f} bits/dim"
    if wrong:
        raise Failure(f"losses differ from the CPU's: {', '.join(wrong)} ({last})")
    return Result(f"largest relative difference in {changes['train.steps']} steps: {', '.join(found)}; {last}")


def memcheck(machine: Machine) -> Result:
    """Accesses outside of memory, before it is allocated or after it is freed."""
    return sanitize(machine, "memcheck", "--track-stream-ordered-races", "all")


def racecheck(machine: Machine) -> Result:
    """Threads of a block that use shared memory at the same time."""
    return sanitize(machine, "racecheck")


def initcheck(machine: Machine) -> Result:
    """Reads of memory that nothing has written."""
    return sanitize(machine, "initcheck")


def sanitize(machine: Machine, tool: str, *options: str) -> Result:
    """Runs a tool of compute-sanitizer on training, plain and as a graph, and on the tests without products."""
    places = [os.environ.get("PATH", ""), "/usr/local/cuda/bin"]
    sanitizer = shutil.which("compute-sanitizer", path=os.pathsep.join(places))
    if not sanitizer:
        raise LeftOut("compute-sanitizer was not found: it comes with the CUDA toolkit")
    prefix = [sanitizer, "--tool", tool, "--print-limit", "20", "--error-exitcode", "9", *options]
    runs = machine.runs()
    commands = {
        "graph": runs.command("graph", "digits.toml", {**TINY, "train.graph": True}),
        "bf16": runs.command("bf16", "digits.toml", {**TINY, "train.products": "bf16"}),
        "tests": [machine.tests, "on_gpu::the_elbo", "on_gpu::the_squared", "--test-threads", "1"],
    }
    counts, places_named = {}, set()
    for name, command in commands.items():
        finished = machine.log.run([*prefix, *command], (0, 1, 9, 101))
        text = finished.text()
        if "Device not supported" in text:
            raise LeftOut(f"{tool} does not support this GPU or driver here")
        found = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)", text)
        if not found or finished.code in (1, 101):
            raise Failure(f"{tool} on {name} ended with {finished.code}: {finished.last()}")
        counts[name] = int(found[-1])
        places_named |= set(re.findall(r" (?:at|in) (?:void )?([A-Za-z_][\w:]*)[(<+]", text))
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    if any(counts.values()):
        raise Failure(f"errors: {said}; kernels and functions named: {', '.join(sorted(places_named)[:12])}")
    return Result(f"errors: {said}")


def errors(machine: Machine) -> Result:
    """What goes wrong is one sentence."""
    runs = machine.runs()
    cases: list[tuple[str, dict[str, Value], bool, dict[str, str], str]] = [
        ("no-gpu", TINY, True, {"CUDA_VISIBLE_DEVICES": ""}, "no usable NVIDIA GPU"),
        ("graph-on-cpu", {**TINY, "train.graph": True}, False, {}, "are for a GPU"),
        ("memory", {**TINY, "train.batch": 700_000_000}, True, {}, "has not enough memory left"),
        ("rate", {**TINY, "train.learning_rate": 1e30}, True, {}, "not finite at step"),
    ]
    wrong, sentences = [], []
    for name, changes, cuda, env, expected in cases:
        finished = machine.log.run(runs.command(name, "digits.toml", changes, cuda), range(-255, 256), env)
        said = finished.last()
        sentences.append(f"- {name}: {said}")
        if finished.code != 1 or expected not in said or "panicked" in finished.text():
            wrong.append(f"{name} ended with {finished.code} and `{said}`")
    details = "\n".join(sentences)
    if wrong:
        raise Failure("; ".join(wrong))
    return Result(f"{len(cases)} sentences as expected", details)
