"""Tests of the GPU checklist's commands and files: `python -m unittest` in this folder."""

import json
import struct
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

import gpu_speeds
from gpu_commands import Failure, Log, Runs, configure, losses, tensors


class Commands(unittest.TestCase):
    def setUp(self) -> None:
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = Path(self.temporary.name)

    def log(self, limit: float) -> Log:
        log = Log(self.folder / "part.log", limit)
        self.addCleanup(log.file.close)
        return log

    def test_output_is_kept_and_another_code_is_a_failure(self) -> None:
        program = [sys.executable, "-c", "print('a'); print(); raise SystemExit(3)"]
        finished = self.log(60).run(program, (3,))
        self.assertEqual((finished.code, finished.last()), (3, "a"))
        self.assertIn("ended with 3", (self.folder / "part.log").read_text())
        with self.assertRaisesRegex(Failure, "ended with 3: a"):
            self.log(60).run(program)

    def test_what_runs_too_long_is_stopped_with_what_it_has_started(self) -> None:
        # The grandchild holds the output open: only its end lets the command end.
        text = "import subprocess, sys; print('on', flush=True); subprocess.run([sys.executable, '-c', 'input()'])"
        text = text.replace("input()", "import time; time.sleep(600)")
        with self.assertRaisesRegex(Failure, "did not end in time; its last line: on"):
            self.log(2).run([sys.executable, "-c", text])

    def test_a_rate_is_that_of_the_reported_positions(self) -> None:
        program = self.folder / "program"
        lines = "import time\nfor i in range(90):\n  print(f'training: {i * 50}/9', flush=True)\n  time.sleep(0.05)\n"
        program.write_text(f"#!{sys.executable}\ntry:\n  exec({lines!r})\nexcept KeyboardInterrupt:\n  exit(130)\n")
        program.chmod(0o755)
        rate = Runs(program, self.folder, self.log(60)).rate("run", "digits.toml", {}, 1.0)
        self.assertTrue(500 < rate <= 1050, rate)


class Files(unittest.TestCase):
    def test_a_configuration_has_the_other_values_and_keeps_the_rest(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            changes = {"train.steps": 7, "train.graph": True, "model.hidden": [8, 8], "data.validation_rows": None}
            found = tomllib.loads(configure(Path(folder), "digits.toml", changes).read_text())
        self.assertEqual((found["train"]["steps"], found["train"]["graph"], found["model"]["hidden"]), (7, True, [8, 8]))
        # `steps` of another section is another key.
        self.assertEqual((found["model"]["steps"], found["data"]), (64, {"source": "digits", "levels": 17}))

    def test_losses_and_tensors_are_read(self) -> None:
        header = {"__metadata__": {}, "a": {"data_offsets": [0, 2]}, "b": {"data_offsets": [2, 3]}}
        text = json.dumps(header).encode()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.safetensors"
            path.write_bytes(struct.pack("<Q", len(text)) + text + b"xyz")
            (Path(folder) / "losses.csv").write_text("step,total,rest\n1,2.5,0\n2,1.5,0\n")
            self.assertEqual(tensors(path), {"a": b"xy", "b": b"z"})
            self.assertEqual(losses(Path(folder)), [2.5, 1.5])

    def test_a_bench_is_compared_with_the_fastest_mode_of_pytorch(self) -> None:
        rows = [
            "256|512|Silu|1|host-train 0.1.0, graphs|900.0|0|0|61 %|1.00×|0",
            "256|512|Silu|1|PyTorch 2, eager|100.0|0|0|6 %|9.00×|0",
            "256|512|Silu|1|PyTorch 2, graphs|750.0|0|0|50 %|1.20×|0",
        ]
        found = gpu_speeds.compare([row.split("|") for row in rows])
        self.assertIn("900.0 steps/s, 61 % of the matrix rate, 1.20× of PyTorch 2, graphs (750.0)", found)


if __name__ == "__main__":
    unittest.main()
