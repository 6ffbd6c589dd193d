"""What a stack of K trials costs beside the loop one would write for each of them.

The peer is a loop in plain torch over the same batches: forward, backward, ``torch.optim.Adam``,
the learning rate set from a cosine table; once as torch comes, once with ``fused=True``. The stack
trains K trials with other seeds, learning rates and orders. Both do one epoch of 20 steps of 64;
peer and stack take turns, and the ratio is the median over the turns of trial-steps a second.

    OMP_NUM_THREADS=1 python benchmarks/fused/run.py [--models NAME …] [--k K …] [--turns N]
    OMP_NUM_THREADS=1 python benchmarks/fused/run.py --compiled   # both kinds of stack
    OMP_NUM_THREADS=1 python benchmarks/fused/run.py --chosen     # of the sizes a study would make
    OMP_NUM_THREADS=1 python benchmarks/fused/run.py --ranks 2 4 8 --k 32  # adapters on one base
    python benchmarks/fused/run.py --device cuda --k 128 512 2048
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from automl_opt import OneOf, Task
from automl_opt.core.recipe import Part, Recipe
from automl_opt.core.result import Trial
from automl_opt.core.seeds import Seeds
from automl_opt.plugin.host import load_host
from automl_opt.training.build import TorchBuilder
from automl_opt.training.data import make_splits
from automl_opt.training.fused import choose
from automl_opt.training.fused.compiled import Graphs
from automl_opt.training.fused.stack import Stack
from automl_opt.training.live import LiveTrial, Setup
from automl_opt.training.memory import keep_freed

BATCH, STEPS = 64, 20


def mlp(*widths: int) -> Callable[[], nn.Module]:
    def model() -> nn.Module:
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    return model


def cnn(norms: bool) -> Callable[[], nn.Module]:
    def block(before: int, after: int) -> list[nn.Module]:
        conv = nn.Conv2d(before, after, 3, padding=1, bias=not norms)
        return [conv, *([nn.BatchNorm2d(after)] if norms else []), nn.ReLU(), nn.MaxPool2d(2)]

    def model() -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)),
            *block(1, 8),
            *block(8, 16),
            nn.Flatten(),
            nn.Linear(64, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    return model


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.all = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.all(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention, self.first = Attention(width, 4), nn.LayerNorm(width)
        self.inner = nn.Linear(width, 4 * width)
        self.outer, self.second = nn.Linear(4 * width, width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.first(x))
        return x + self.outer(functional.gelu(self.inner(self.second(x))))


class Transformer(nn.Module):
    """A decoder of two blocks over 16 tokens of 32; with *rank*, only low-rank adapters learn."""

    def __init__(self, rank: int = 0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(64, 32)
        self.place = nn.Parameter(0.02 * torch.randn(16, 32))
        self.blocks = nn.Sequential(Block(32), Block(32))
        self.out = nn.Linear(32, 10)
        if rank:
            self.requires_grad_(False)
            for block in self.blocks:
                block.inner = Adapted(block.inner, rank)
                block.outer = Adapted(block.outer, rank)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.blocks(self.embedding(tokens) + self.place).mean(1))


class Adapted(nn.Module):
    """A frozen linear layer plus a product of two thin matrices."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(0.02 * torch.randn(rank, base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.down.T @ self.up.T


def vectors(n: int, source: torch.Generator) -> Tensor:
    return torch.randn(n, 64, generator=source)


def tokens(n: int, source: torch.Generator) -> Tensor:
    return torch.randint(64, (n, 16), generator=source)


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[int, torch.Generator], Tensor]]] = {
    "MLP 64-32-10": (mlp(64, 32, 10), vectors),
    "MLP 64-64-64-10": (mlp(64, 64, 64, 10), vectors),
    "MLP 64-128-10": (mlp(64, 128, 10), vectors),
    "MLP 64-128-128-10": (mlp(64, 128, 128, 10), vectors),
    "MLP 64-256-256-10": (mlp(64, 256, 256, 10), vectors),
    "MLP 64-1024-1024-10": (mlp(64, 1024, 1024, 10), vectors),
    "MLP 64-3072-3072-10": (mlp(64, 3072, 3072, 10), vectors),
    "CNN": (cnn(norms=False), vectors),
    "CNN with batch norm": (cnn(norms=True), vectors),
    "transformer": (Transformer, tokens),
    "LoRA r=4 on it": (lambda: Transformer(rank=4), tokens),
}


def by_hand(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, steps: int
) -> None:
    model.train()
    order = torch.randperm(len(x), device=x.device)
    for i, chosen in enumerate(order.split(BATCH)):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 + math.cos(math.pi * i / steps)) / 2
        loss = functional.cross_entropy(model(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """On a CPU the time that the process had: others may use the machine."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def trial(number: int, **model: int) -> Trial:
    params = {"lr": 1e-3 * 1.01**number, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    recipe = Recipe(
        optimizer=Part("builtin.adam", params, 1),
        scheduler=Part("builtin.cosine", CATALOG.find("scheduler", "cosine").part().params, 1),
        regularizers=(),
        initializer=CATALOG.find("initializer", "default").part(),
        batch_size=BATCH,
        model=model,
    )
    seeds = replace(Seeds.of_trial(0, "bench", number), split=0)
    return Trial(arm="bench", number=number, trial_id=number, recipe=recipe, seeds=seeds)


def measure(
    name: str, ks: list[int], turns: int, device: torch.device, *, chosen: bool, compiled: bool
) -> None:
    make, inputs = MODELS[name]
    x, y = examples(inputs)
    loops = Loops([make().to(device)], x.to(device), y.to(device))
    live = lives(Task(model=make, train=(x, y), valid=(x[:BATCH], y[:BATCH])), device)
    graph = Graphs().of(live(0), live) if compiled else None
    assert not isinstance(graph, str), graph
    for k in ks:
        ways = {}
        for way, of in {"": None, "compiled": graph}.items() if compiled else [("", None)]:
            whole = choose.Sizes(1) if of is None else choose.Sizes(1, of.rows, of.rows)
            sizes = choose.measured(live, k, of) if chosen else whole
            if k < sizes.smallest:
                print(f"| {name} | {loops.size} | {k} {way}: by themselves |", flush=True)
                continue
            shares = list(sizes.shares(k))
            stacks = [Stack([live(i) for i in share], graph=of) for share in shares]
            split = "" if len(shares) == 1 else f"in {len(shares)} "
            ways[f"{k} {split}{way}".strip()] = Way(stacks)
        compare(name, loops, ways, k, turns, device)


def measure_ranks(ranks: list[int], k: int, turns: int, device: torch.device) -> None:
    """Adapters of several ranks on one frozen transformer: in one stack, and in one for each."""
    base = Transformer().to(device).state_dict()

    def model(rank: int) -> nn.Module:
        made = Transformer(rank).to(device)
        frozen = {name for name, p in made.named_parameters() if not p.requires_grad}
        shared = {name: base[name.replace(".base.", ".")] for name in frozen}
        made.load_state_dict(shared, strict=False, assign=True)
        return made

    x, y = examples(tokens)
    loops = Loops([model(rank) for rank in ranks], x.to(device), y.to(device))
    data = {"train": (x, y), "valid": (x[:BATCH], y[:BATCH])}
    task = Task(model=model, params={"rank": OneOf(tuple(ranks))}, padded=["rank"], **data)
    live = lives(task, device)
    mixed = [live(i, rank=ranks[i % len(ranks)]) for i in range(k)]
    apart = [
        [live(i, rank=rank) for i in range(k) if ranks[i % len(ranks)] == rank] for rank in ranks
    ]
    ways = {f"{k}": Way([Stack(mixed)]), f"{k} in {len(ranks)}": Way(list(map(Stack, apart)))}
    told = ", ".join(map(str, ranks))
    compare(f"LoRA r={told}", loops, ways, k, turns, device)


def examples(inputs: Callable[[int, torch.Generator], Tensor]) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    n = BATCH * STEPS
    return inputs(n, source), torch.randint(10, (n,), generator=source)


def lives(task: Task, device: torch.device) -> Callable[..., LiveTrial]:
    """What makes a trial from its number and its model's hyperparameters."""
    setup = Setup(
        epochs=10_000,
        device=device,
        dtype=torch.float32,
        autocast=None,
        metric="loss",
        maximize=False,
    )
    splits, builder = make_splits(task, 0, device, torch.float32), TorchBuilder(CATALOG)

    def live(number: int, **model: int) -> LiveTrial:
        return LiveTrial(trial(number, **model), task, splits, setup, builder)

    return live


class Loops:
    """The loops by hand over models, and the seconds of each epoch but the first."""

    def __init__(self, models: list[nn.Module], x: Tensor, y: Tensor) -> None:
        self.seconds: dict[bool, list[float]] = {False: [], True: []}
        self._epochs = []
        for model in models:
            learned = [p for p in model.parameters() if p.requires_grad]
            self.size = sum(p.numel() for p in learned)
            for fused in self.seconds:
                optimizer = torch.optim.Adam(learned, fused=fused or None)
                self._epochs.append((fused, partial(by_hand, model, optimizer, x, y, STEPS)))
        for _, epoch in self._epochs:
            epoch()

    def turn(self, device: torch.device) -> None:
        for fused, epoch in self._epochs:
            for _ in range(3):
                self.seconds[fused].append(seconds(epoch, device))


def compare(
    name: str, loops: Loops, ways: dict[str, Way], k: int, turns: int, device: torch.device
) -> None:
    """Let loops and stacks take turns, and print a row for each way to stack."""
    for _ in range(turns):
        loops.turn(device)
        for way in ways.values():
            way.seconds.append(seconds(way.epoch, device))
    alone, fast = (statistics.median(own) / STEPS for own in loops.seconds.values())
    memory = ""
    if device.type == "cuda":
        memory = f" {torch.cuda.max_memory_allocated() / k / 2**20:.2f} |"
    for told, way in ways.items():
        each = statistics.median(way.seconds) / STEPS / k
        times = " | ".join(f"{t * 1e6:.0f}" for t in (alone, fast, each))
        ratios = f"{alone / each:.2f} | {fast / each:.2f}"
        print(f"| {name} | {loops.size} | {told} | {times} | {ratios} |{memory}", flush=True)


class Way:
    """Stacks that train K trials between them, and the seconds of each epoch but the first."""

    def __init__(self, stacks: list[Stack]) -> None:
        self.stacks = stacks
        self.seconds: list[float] = []
        self.epoch()

    def epoch(self) -> None:
        for stack in self.stacks:
            stack.train_epoch()


CATALOG = load_host(allow=()).catalog


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--k", nargs="+", type=int, default=[1, 8, 32, 128])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--chosen", action="store_true", help="stacks of the sizes a study makes")
    parser.add_argument("--ranks", nargs="+", type=int, help="adapters of these ranks, no models")
    parser.add_argument("--compiled", action="store_true", help="compiled stacks as well")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    torch.set_num_threads(1)
    keep_freed()  # as studies do
    print(f"{datetime.now(UTC):%Y-%m-%d}, torch {torch.__version__}, {device}\n")
    columns = ["model", "learned", "K", "Adam", "Adam fused", "stack", "×", "× fused"]
    if device.type == "cuda":
        columns.append("MiB a trial")
    print(f"| {' | '.join(columns)} |")
    print(f"|{' --- |' * len(columns)}")
    if asked.ranks:
        for k in asked.k:
            measure_ranks(asked.ranks, k, asked.turns, device)
        return
    for name in asked.models:
        measure(name, asked.k, asked.turns, device, chosen=asked.chosen, compiled=asked.compiled)


if __name__ == "__main__":
    main()
