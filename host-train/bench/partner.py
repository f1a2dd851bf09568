"""The network, loss and optimizer of `host-train bench` in PyTorch, driven by one JSON object per line on standard input.

Every request is answered with one JSON object per line:
  {"do": "prepare", "mode": ..., "task": {...}, "folder": ...}  builds the network from the folder's files
  {"do": "losses", "steps": n}                                 trains n steps, answers the loss of each
  {"do": "time", "steps": n}                                   trains n steps, answers the seconds they took
  {"do": "rate"}                                               answers the operations per second of a product of large matrices
Modes: "eager", "compiled" (torch.compile), "graphs" (a CUDA graph of a whole step).
"""

import json
import os
import sys
import time


def answer(**fields):
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


try:
    import torch
except ImportError as error:
    answer(error=str(error))
    sys.exit(0)


class Network(torch.nn.Module):
    def __init__(self, widths, activation, weights, biases):
        super().__init__()
        self.layers = torch.nn.ModuleList()
        for columns, rows in zip(widths, widths[1:]):
            layer = torch.nn.Linear(columns, rows)
            with torch.no_grad():
                layer.weight.copy_(weights[: rows * columns].view(rows, columns))
                layer.bias.copy_(biases[:rows])
            weights, biases = weights[rows * columns :], biases[rows:]
            self.layers.append(layer)
        self.activation = {"relu": torch.relu, "silu": torch.nn.functional.silu}[activation]

    def forward(self, z):
        for layer in self.layers[:-1]:
            z = self.activation(layer(z))
        return self.layers[-1](z)


class Training:
    def __init__(self, mode, task, folder, device):
        def read(name, *shape):
            size = 1
            for side in shape:
                size *= side
            path = os.path.join(folder, name)
            # A copy in ordinary memory: the file is only mapped.
            return torch.from_file(path, size=size, dtype=torch.float32).clone().view(*shape).to(device)

        widths = task["widths"]
        pairs = list(zip(widths, widths[1:]))
        weights = read("weights", sum(a * b for a, b in pairs))
        biases = read("biases", sum(widths[1:]))
        shape = (task["batches"], task["batch"])
        self.inputs = read("inputs", *shape, widths[0])
        self.targets = read("targets", *shape, widths[-1])
        self.network = Network(widths, task["activation"], weights, biases).to(device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=task["rate"],
            betas=(task["beta_1"], task["beta_2"]),
            eps=task["epsilon"],
            weight_decay=task["decay"],
            fused=True,
        )
        self.device = device
        self.done = 0
        # "f32", "tf32" or "bf16"; the CPU always multiplies in f32.
        self.products = task["products"] if device != "cpu" else "f32"
        torch.set_float32_matmul_precision("high" if self.products == "tf32" else "highest")
        loss = self.loss
        self.evaluate = torch.compile(loss) if mode != "eager" else loss
        self.graph = None
        if mode == "graphs":
            self.capture()

    def loss(self, z, target):
        if self.products == "bf16":
            with torch.autocast("cuda", torch.bfloat16):
                out = self.network(z)
            return (out.float() - target).square().mean()
        return (self.network(z) - target).square().mean()

    def rate(self):
        """Operations per second of a product of large matrices, the fastest of five."""
        side = 1024 if self.device == "cpu" else 8192
        kind = torch.bfloat16 if self.products == "bf16" else torch.float32
        a, b = (torch.randn(side, side, device=self.device).to(kind) for _ in range(2))
        best = float("inf")
        for turn in range(6):
            self.wait()
            begin = time.perf_counter()
            torch.mm(a, b)
            self.wait()
            # The first prepares the library.
            best = min(best, time.perf_counter() - begin) if turn else best
        return 2.0 * side**3 / best

    def plain_step(self, z, target):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.evaluate(z, target)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def capture(self):
        """Captures a step; the steps that warm up are undone, so that all modes begin at the same point."""
        self.z, self.target = self.inputs[0].clone(), self.targets[0].clone()
        kept = {name: value.clone() for name, value in self.network.state_dict().items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.plain_step(self.z, self.target)
        torch.cuda.current_stream().wait_stream(stream)
        for group in self.optimizer.param_groups:
            group["capturable"] = True
        self.graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph):
            self.out = self.plain_step(self.z, self.target)
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                value.copy_(kept[name])
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def step(self):
        i = self.done % len(self.inputs)
        self.done += 1
        if self.graph is None:
            return self.plain_step(self.inputs[i], self.targets[i])
        self.z.copy_(self.inputs[i])
        self.target.copy_(self.targets[i])
        self.graph.replay()
        return self.out.clone()

    def wait(self):
        if self.device != "cpu":
            torch.cuda.synchronize()


def serve(threads, device):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    answer(name="PyTorch " + torch.__version__)
    training = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                torch.compiler.reset()
                training = Training(request["mode"], request["task"], request["folder"], device)
                answer()
            elif request["do"] == "losses":
                losses = [training.step() for _ in range(request["steps"])]
                answer(losses=[float(loss) for loss in losses])
            elif request["do"] == "rate":
                answer(flops=training.rate())
            else:
                training.wait()
                begin = time.perf_counter()
                for _ in range(request["steps"]):
                    training.step()
                training.wait()
                answer(seconds=time.perf_counter() - begin)
        except Exception as error:  # one sentence for whoever reads the table
            answer(error=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")


if __name__ == "__main__":
    device = sys.argv[2] if len(sys.argv) > 2 else "cpu"
    if device != "cpu" and not torch.cuda.is_available():
        answer(error="PyTorch finds no CUDA device")
        sys.exit(0)
    serve(int(sys.argv[1]), device)
