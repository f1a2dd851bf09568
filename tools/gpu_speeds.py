"""Measurements of the GPU checklist: steps per second, beside PyTorch, and where the time of a step goes."""

import csv
import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence

from gpu_commands import Failure, LeftOut, Machine, Result, Value

# Seconds that each rate is measured for.
SECONDS = 3.0
LARGE: dict[str, Value] = {"model.hidden": [1024, 1024, 1024], "train.batch": 65536, "train.products": "bf16"}
# Columns of the table of `host-train bench`.
CONTENDER, STEPS, OF_RATE, RATIO = 4, 5, 8, 9
# Kernels that are profiled: some steps of a run that launches them one by one, after those that warm up.
SKIPPED_KERNELS, PROFILED_KERNELS = 1500, 500


def digits(machine: Machine) -> Result:
    """Steps per second of the digits' full ELBO, kernel by kernel and as a graph, and of a large net."""
    runs, rows, best = machine.runs(), ["| batch | products | kernel by kernel | graph |", "|---|---|---|---|"], {}
    for batch in (256, 4096):
        for products in ("f32", "tf32", "bf16"):
            changes: dict[str, Value] = {"train.batch": batch, "train.products": products}
            rates = []
            for graph in (False, True):
                name = f"{batch}-{products}-{'graph' if graph else 'plain'}"
                rates.append(runs.rate(name, "digits.toml", {**changes, "train.graph": graph}, SECONDS))
            rows.append(f"| {batch} | {products} | {rates[0]:.0f} | {rates[1]:.0f} |")
            best[batch] = max(best.get(batch, 0.0), *rates)
    continuous = runs.rate("continuous", "digits-continuous.toml", {}, SECONDS)
    rows.append(f"| 256, continuous time | f32 | {continuous:.0f} | |")
    large = runs.rate("large", "digits.toml", {**LARGE, "train.graph": True}, SECONDS)
    rows.append(f"| 65536, three layers of 1024 | bf16 | | {large:.1f} |")
    found = ", ".join(f"batch {batch} {rate:.0f}" for batch, rate in best.items())
    return Result(f"steps/s at best: {found}; large net {large:.1f}", "\n".join(rows))


def whole_digits(machine: Machine) -> Result:
    """All of digits.toml as a graph, measured on validation rows and scored on held-out rows."""
    changes: dict[str, Value] = {"train.graph": True, "train.products": "tf32"}
    finished = machine.log.run(machine.runs().command("digits", "digits.toml", changes))
    trained = max((line.seconds for line in finished.lines if "training: " in line.text), default=finished.seconds)
    text = finished.text()
    said = re.findall(r"best on the validation rows after step (\d+) of (\d+), ELBO ([\d.]+)", text)
    held_out = re.findall(r"held-out ELBO ([^\n]*)", text)
    if not said or not held_out:
        raise Failure(f"no score was printed: {finished.last()}")
    step, steps, bits = said[0]
    return Result(
        f"{steps} steps in {trained:.1f} s from the program's start, with scoring {finished.seconds:.1f} s; validation "
        f"{bits} bits/dim at step {step}, held out {held_out[0]}"
    )


def bench(machine: Machine, widths: str, batches: str, products: str) -> Result:
    """Runs `host-train bench` on the GPU; returns its table, and the ratios to PyTorch's fastest mode."""
    command = [machine.program, "bench", "--cuda", "--products", products, "--widths", widths, "--batches", batches]
    options = ["--activations", "silu", "--threads", "1", "--rounds", "3", "--seconds", "0.4", "--no-candle"]
    finished = machine.log.run([*command, *options, "--python", sys.executable])
    table = [line.text for line in finished.lines if line.text.startswith("|")]
    warnings = [line.text for line in finished.lines if "is not measured" in line.text]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
    if not rows:
        raise Failure(f"nothing was measured: {(warnings or [finished.last()])[0]}")
    found = [compare([row for row in rows if row[1] == batch]) for batch in dict.fromkeys(row[1] for row in rows)]
    return Result("; ".join([*found, *warnings]), "\n".join(table))


def compare(rows: Sequence[Sequence[str]]) -> str:
    """Says how the first contender, this program as a graph, compares with PyTorch's fastest mode at one batch."""
    first, others = rows[0], [row for row in rows if row[CONTENDER].startswith("PyTorch")]
    said = f"batch {first[1]}: {first[CONTENDER]} {first[STEPS]} steps/s, {first[OF_RATE]} of the matrix rate"
    if not others:
        return said
    fastest = max(others, key=lambda row: float(row[STEPS]))
    return f"{said}, {fastest[RATIO]} of {fastest[CONTENDER]} ({fastest[STEPS]})"


def large(machine: Machine) -> Result:
    """A net of width 1024 at a batch of 65,536, in bf16."""
    return bench(machine, "1024", "65536", "bf16")


def beside_pytorch(products: str) -> Callable[[Machine], Result]:
    """Returns the measurement of width 256 in a number format."""
    return lambda machine: bench(machine, "256", "256,4096", products)


def profile(machine: Machine) -> Result:
    """Time of each kernel in steps of the large net's full ELBO, and its share of the memory's rate."""
    ncu = shutil.which("ncu", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/cuda/bin"]))
    if not ncu:
        raise LeftOut("ncu was not found: it comes with the CUDA toolkit")
    metrics = ["gpu__time_duration.sum", "dram__throughput.avg.pct_of_peak_sustained_elapsed"]
    command = [ncu, "--csv", "--page", "raw", "--print-units", "base", "--clock-control", "none"]
    command += ["--metrics", ",".join(metrics)]
    command += ["--launch-skip", str(SKIPPED_KERNELS), "--launch-count", str(PROFILED_KERNELS), "--kill", "yes"]
    runs = machine.runs()
    endless = {**LARGE, "data.validation_rows": None, "train.steps": 1_000_000}
    finished = machine.log.run([*command, *runs.command("large", "digits.toml", endless)], range(-255, 256))
    table = [line.text for line in finished.lines if line.text.startswith('"')]
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in csv.DictReader(table):
        try:
            # ncu separates thousands.
            duration, rate = (float(row[metric].replace(",", "")) for metric in metrics)
            times[row["Kernel Name"]].append((duration, rate))
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
    if not times:
        raise LeftOut(f"ncu measured nothing here: {finished.last()}")
    total = sum(duration for rows in times.values() for duration, _ in rows)
    lines = ["| kernel | launches | share of the time | of the memory's rate |", "|---|---|---|---|"]
    for name, rows in sorted(times.items(), key=lambda item: -sum(row[0] for row in item[1]))[:25]:
        own = sum(row[0] for row in rows)
        memory = sum(row[0] * row[1] for row in rows) / own
        lines.append(f"| {name[:60]} | {len(rows)} | {100 * own / total:.1f} % | {memory:.0f} % |")
    return Result(f"{sum(len(rows) for rows in times.values())} launches of {len(times)} kernels", "\n".join(lines))
