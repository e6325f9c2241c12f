"""MAML as it is written with learn2learn (Arnold et al. 2020, arXiv 2008.12284), for `benchmarks/meta`.

A program of its own for a Python that has PyTorch and learn2learn, and need not have aiga. It reads from
standard input one line of JSON after the other, {"case": a `meta.Case` as data, "images": path of
u8[C, I, H, W, 1] or null, "seconds": how long}, and answers each with {"rate": tasks per second}. A case is
set up once; what the first meta-iteration costs does not count. Where it says {"case", "images",
"iterations": how many, "seed", "weights": path} in their place, so many meta-iterations are learnt from the
seed, by one thread, and the weights, in PyTorch's order, put into that NumPy file.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]


def network(case: dict[str, Any]) -> Any:
    """The networks of MAML's published experiments, as `aiga` has them."""
    if case["task"] == "sine":
        sizes = (1, 40, 40, 1)
        layers: list[Any] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1])
    layers, seen = [], 1
    for _ in range(4):
        layers += [
            nn.Conv2d(seen, case["filters"], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(case["filters"], track_running_stats=False),
            nn.ReLU(),
        ]
        seen = case["filters"]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(seen, case["ways"]))


def drawer(case: dict[str, Any], images: Any, seed: int = 0) -> Callable[[], tuple[Any, Any, Any, Any]]:
    """Of tasks: examples to learn from and to be judged on, x and y of each."""
    shots, queries = case["shots"], case["queries"]
    if case["task"] == "sine":

        def sinusoid() -> tuple[Any, Any, Any, Any]:
            amplitude, phase = torch.rand(2).tolist()
            x = 10 * torch.rand(shots + queries, 1) - 5
            y = (0.1 + 4.9 * amplitude) * torch.sin(x - torch.pi * phase)
            return x[:shots], y[:shots], x[shots:], y[shots:]

        return sinusoid
    rng, ways = np.random.default_rng(seed), case["ways"]
    known = torch.from_numpy(images).permute(0, 1, 4, 2, 3)
    labels = torch.arange(ways)[:, None]

    def characters() -> tuple[Any, Any, Any, Any]:
        which = rng.choice(len(images), ways, replace=False)
        shown = rng.permuted(np.tile(np.arange(images.shape[1]), (ways, 1)), axis=1)[:, : shots + queries]
        x = known[which[:, None], shown].float() / 255
        parts = []
        for some in (slice(None, shots), slice(shots, None)):
            y = labels.expand(-1, x[:, some].shape[1])
            parts += [x[:, some].flatten(0, 1), y.flatten()]
        return tuple(parts)  # type: ignore[return-value]

    return characters


def learner(case: dict[str, Any], images: Any, seed: int = 0) -> tuple[Any, Callable[[], int]]:
    """What learns, and one meta-iteration, which says how many tasks it learnt."""
    from learn2learn.algorithms import MAML  # pyright: ignore[reportMissingImports]

    torch.manual_seed(seed)
    draw = drawer(case, images, seed)
    loss = nn.MSELoss() if case["task"] == "sine" else nn.CrossEntropyLoss()
    maml = MAML(network(case), lr=case["rate"], first_order=case["gradient"] == "first")
    adam = torch.optim.Adam(maml.parameters(), 0.001)

    def iterate() -> int:
        adam.zero_grad()
        for _ in range(case["tasks"]):
            x, y, other_x, other_y = draw()
            one = maml.clone()
            for _ in range(case["steps"]):
                one.adapt(loss(one(x), y))
            (loss(one(other_x), other_y) / case["tasks"]).backward()
        adam.step()
        return case["tasks"]

    return maml, iterate


def loaded(asked: dict[str, Any]) -> Any:
    """The images, where there are any."""
    return asked["images"] and np.load(asked["images"])


def trained(asked: dict[str, Any]) -> None:
    """Learns, and writes the weights down."""
    torch.set_num_threads(1)
    maml, iterate = learner(asked["case"], loaded(asked), asked["seed"])
    for _ in range(asked["iterations"]):
        iterate()
    np.savez(asked["weights"], *[each.detach().numpy() for each in maml.module.parameters()])


def main() -> None:
    ready: dict[str, Callable[[], int]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "weights" in asked:
            trained(asked)
            print(json.dumps({"weights": asked["weights"]}), flush=True)
            continue
        name = json.dumps(asked["case"])
        if name not in ready:
            _, ready[name] = learner(asked["case"], loaded(asked))
            ready[name]()
        begun, done = time.perf_counter(), 0
        while (spent := time.perf_counter() - begun) < asked["seconds"] or not done:
            done += ready[name]()
        print(json.dumps({"rate": done / spent}), flush=True)


if __name__ == "__main__":
    main()
