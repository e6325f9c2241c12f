"""How fast learning to learn is: MAML beside learn2learn in tasks a second, on sinusoids and 5-way 1-shot
glyphs, and RL^2 beside a recurrent PPO (`rl2`).

The same networks, tasks and meta-batches on both sides, learn2learn's with its own inner loop and Adam of
PyTorch's (`meta_rival`). It lives in a Python of its own, whose path the environment variable
AIGA_LEARN2LEARN has. Both have all cores, as whoever uses them has: an update's tasks are spread over as many
shards as there are cores and divide them, and PyTorch has its threads. Compiling is told apart.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np

from aiga.benchmarks import rl2
from aiga.benchmarks.beside import processor, spread, told

ROUNDS = 3  # each side in turn, this often
SECONDS = 1.0  # for each, in each round
UNIT = "tasks per second"
RIVAL, PYTHON = "learn2learn", "AIGA_LEARN2LEARN"


@dataclass(frozen=True)
class Case:
    """What is learnt."""

    task: str  # sine, glyphs
    gradient: Literal["second", "first"]
    steps: int  # inner ones
    tasks: int = 25  # in a meta-iteration
    shots: int = 10  # of glyphs those of each class, as are queries
    queries: int = 10
    rate: float = 0.01  # of the inner loop
    ways: int = 5
    filters: int = 64

    @property
    def name(self) -> str:
        what = "sinusoids" if self.task == "sine" else "glyphs, 5-way 1-shot"
        return f"{what}, {self.gradient} order, {self.steps} step{'s' * (self.steps > 1)}"


CASES = [
    *(Case("sine", gradient, steps) for gradient in ("second", "first") for steps in (1, 5, 20)),
    *(
        Case("glyphs", gradient, steps, tasks=32, shots=1, queries=1, rate=0.4)
        for gradient in ("second", "first")
        for steps in (1, 5, 20)
    ),
]


def ours(case: Case, iterations: int) -> tuple[Callable[[float], float], float]:
    """Tasks a second when run for so many seconds, and what compiling took, in s. `iterations` are those of
    one compiled scan."""
    import jax

    from aiga.learners import inner_loop
    from aiga.systems.learning import maml

    config = maml.Config(
        case.task,
        tasks=case.tasks,
        shots=case.shots,
        queries=case.queries,
        inner_rate=case.rate,
        ways=case.ways,
        filters=case.filters,
        iterations=iterations,
        test_tasks=1,
        test_queries=1,
        shards=math.gcd(case.tasks, len(jax.devices())),
        inner=inner_loop.Config(case.gradient, steps=case.steps),
    )
    system = maml.MAML(config)
    key = jax.random.key(0)
    state, begun = system.init(key), time.perf_counter()

    def learn() -> None:
        material = system._lessons.train
        jax.block_until_ready(system._learn(key, material, state.meta, state.adam, state.iteration))

    learn()
    compiled = time.perf_counter() - begun

    def rate(seconds: float) -> float:
        begun, done = time.perf_counter(), 0
        while (spent := time.perf_counter() - begun) < seconds or not done:
            learn()
            done += case.tasks * iterations
        return done / spent

    return rate, compiled


def theirs(folder: Path, stack: ExitStack) -> Callable[..., dict[str, Any]]:
    """The rival, to be asked as `meta_rival` says, of a case. FileNotFoundError for no Python, ImportError
    where that has no learn2learn."""
    python = os.environ.get(PYTHON, "")
    check = subprocess.run([python, "-c", "import learn2learn.algorithms"], capture_output=True, text=True)
    if check.returncode:
        raise ImportError(check.stderr.strip().splitlines()[-1])
    program = subprocess.Popen(
        [python, Path(__file__).with_name("meta_rival.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.enter_context(program)
    images = folder / "images.npy"

    def ask(case: Case, **asked: Any) -> dict[str, Any]:
        if case.task != "sine" and not images.exists():
            from aiga.worlds import few_shot

            np.save(images, few_shot.images(case.task, "train"))
        asked |= {"case": asdict(case), "images": None if case.task == "sine" else str(images)}
        assert program.stdin and program.stdout
        program.stdin.write(json.dumps(asked) + "\n")
        program.stdin.flush()
        return json.loads(program.stdout.readline())

    return ask


def bench() -> tuple[dict[str, Any], str]:
    """Our rates and the rival's, and the ratios with their spread, as data and as text."""
    missing: list[str] = []
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rival = None
        try:
            rival = theirs(folder, stack)
        except (OSError, ImportError):
            missing.append(RIVAL)
        for case in CASES:
            mine, compiled = ours(case, 200 if case.task == "sine" else 2)
            seen: dict[str, list[float]] = {"": [], RIVAL: []}
            for _ in range(ROUNDS):
                seen[""].append(mine(SECONDS))
                if rival:
                    seen[RIVAL].append(rival(case, seconds=SECONDS)["rate"])
            beside = {"rate": median(seen[RIVAL]), "ratio": spread(seen[""], seen[RIVAL])} if rival else None
            rows.append(
                {
                    "case": case.name,
                    "unit": UNIT,
                    "ours": median(seen[""]),
                    "compiling": compiled,
                    "rivals": {RIVAL: beside} if beside else {},
                }
            )
    rows.append(rl2.case())
    missing += [] if rows[-1]["rivals"] else [rl2.RIVAL]
    machine = {"processor": processor(), "cores": os.cpu_count()}
    data = {"benchmark": "meta", "machine": machine, "missing": missing, "cases": rows}
    return data, "\n".join(_lines(data))


def _lines(data: dict[str, Any]) -> Iterator[str]:
    yield f"learning to learn; {data['machine']['processor']}"
    for row in data["cases"]:
        yield f"{row['case']}: {row['ours']:,.0f} {row['unit']}; {row['compiling']:.0f} s to compile"
        for name, rival in row["rivals"].items():
            about = f", best with {rival['environments']} environments" if "environments" in rival else ""
            yield told(name, rival["ratio"], f" ({rival['rate']:,.1f}{about})", ROUNDS, digits=1)
    for name in data["missing"]:
        variable = PYTHON if name == RIVAL else rl2.PYTHON
        yield f"not found, so not compared: {name} ({variable} is to be the path of a Python that has it)"
