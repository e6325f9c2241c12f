"""Numbers of a run for other tools to draw: TensorBoard, Weights & Biases, MLflow.

The truth is the store. A sink is a listener of the loop that passes on what was committed, and whatever
happens to it the run goes on: it works in a thread of its own behind a queue with an end, is let go of when
it raises, and is waited for a moment when the run stops. An iteration is told once, as its step, so the
curves of a resumed run go on; what a killed process had not passed on yet is missing there.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import queue
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from aiga.runs.errors import RunError
from aiga.runs.loop import Step
from aiga.runs.store import Run

WAITING = 10_000  # iterations in a sink's queue; what does not fit is dropped
PATIENCE = 2.0  # s, for a sink to end when the run stops
opened = False  # whether this process has had a sink
_NOT_COUNTED = frozenset({"metric", "score"})  # events of every iteration


class Sink(Protocol):
    """What an adapter does. Both are called from one thread, and may raise or take their time."""

    def log(self, iteration: int, numbers: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class About:
    """The run that a sink is told of. `folder` is where the sink may write; it need not exist."""

    name: str
    run: Run
    folder: Path

    def settings(self) -> dict[str, Any]:
        """System, seed and configuration, the fields of tables dotted."""
        found: dict[str, Any] = {"system": self.run.system, "seed": self.run.seed}

        def visit(prefix: str, values: Mapping[str, Any]) -> None:
            for key, value in values.items():
                if isinstance(value, Mapping):
                    visit(f"{prefix}{key}.", value)
                else:
                    found[prefix + key] = value

        visit("", self.run.config)
        return found

    def identity(self) -> str:
        """What a resumed run is known by again; kept in `folder`."""
        file = self.folder / "id"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            file.write_text(uuid.uuid4().hex)
        return file.read_text()


def numbers_of(step: Step) -> dict[str, float]:
    """The finite metrics of an iteration, the seconds it took, and how many events there were of each kind
    that does not come with every iteration, as `events/birth`."""
    numbers: dict[str, float] = {"seconds": step.seconds}
    for event in step.events:
        if event.kind == "metric":
            numbers.update((name, float(value)) for name, value in event.data.items() if value is not None)
    counts = Counter(event.kind for event in step.events if event.kind not in _NOT_COUNTED)
    numbers.update((f"events/{kind}", float(count)) for kind, count in counts.items())
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


class Outlet:
    """Feeds one sink from a thread of its own; `step` is a listener for `drive`.

    `open` makes the sink, in that thread. `warn` is told, from the caller's, when the sink has failed.
    """

    def __init__(self, name: str, open: Callable[[], Sink], warn: Callable[[str], None]):
        self._name, self._open, self._warn = name, open, warn
        self._queue: queue.SimpleQueue[tuple[int, dict[str, float]] | None] = queue.SimpleQueue()
        self._failure: str | None = None
        self._told = False
        self._dropped = 0
        # Daemonic, so that one that hangs does not keep the process.
        self._thread = threading.Thread(target=self._work, name=f"sink {name}", daemon=True)
        self._thread.start()

    def step(self, step: Step) -> None:
        if self._failed():
            return
        if self._queue.qsize() < WAITING:
            self._queue.put((step.iteration, numbers_of(step)))
        else:
            self._dropped += 1

    def end(self) -> None:
        """Says that nothing more comes. Does not wait."""
        self._queue.put(None)

    def wait(self, limit: float) -> None:
        """Waits for the sink to end, until `limit` on the monotonic clock or without it."""
        self._thread.join(max(0.0, limit - time.monotonic()))
        if self._failed():
            return
        if self._thread.is_alive():
            self._warn(f"note: sink {self._name} did not end within {PATIENCE:.0f} s and may be incomplete")
        if self._dropped:
            self._warn(f"note: sink {self._name} was too slow; {self._dropped} iterations are missing there")

    def _failed(self) -> bool:
        if self._failure is not None and not self._told:
            self._told = True
            self._warn(self._failure)
        return self._told

    def _work(self) -> None:
        try:
            sink = self._open()
            while (item := self._queue.get()) is not None:
                sink.log(*item)
            sink.close()
        except BaseException as error:  # also the SystemExit of a library that gives up
            self._failure = _failure(self._name, error)


def _failure(name: str, error: BaseException) -> str:
    said = " ".join(str(error).split())[:200]
    return f"note: sink {name} failed, the run goes on without it: {type(error).__name__} {said}".rstrip()


@contextmanager
def outlets(names: Iterable[str], about: About, warn: Callable[[str], None]) -> Iterator[list[Outlet]]:
    """The sinks of `names`, each writing below `about.folder`, for as long as the context is open."""
    global opened
    found: list[Outlet] = []
    try:
        for name in dict.fromkeys(names):
            opened = True
            mine = replace(about, folder=about.folder / name)
            try:
                SINKS[name].load()
            except Exception as error:
                warn(_failure(name, error))
            else:
                found.append(Outlet(name, partial(SINKS[name].open, mine), warn))
        yield found
    finally:
        for outlet in found:
            outlet.end()
        limit = time.monotonic() + PATIENCE
        for outlet in found:
            outlet.wait(limit)


def check(names: Iterable[str]) -> None:
    """Raises `RunError` where a sink's packages are not installed. Imports none."""
    for name in names:
        packages = {module.partition(".")[0] for module in SINKS[name].modules}
        if any(importlib.util.find_spec(package) is None for package in packages):
            raise RunError(f"sink: {name} needs pip install 'aiga[{name}]'")


# -- the adapters -------------------------------------------------------------------------------------------


class TensorBoard:
    """Event files, as `tensorboard --logdir` reads them, by tensorboardX: no torch, no TensorFlow."""

    def __init__(self, about: About):
        from tensorboardX import SummaryWriter

        # Its own names tell seconds apart: a session within the same one would write over the file.
        suffix = f".{time.time_ns()}"
        self._writer = SummaryWriter(str(about.folder), flush_secs=10, filename_suffix=suffix)

    def log(self, iteration: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, iteration)

    def close(self) -> None:
        self._writer.close()


class WandB:
    """A run of Weights & Biases, offline: `wandb sync` uploads it. WANDB_MODE=online uploads at once."""

    def __init__(self, about: About):
        import wandb

        identity = about.identity()
        # Nothing of the machine, the repository or the terminal is wanted, and no answer to hang on.
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_code=True,
            disable_git=True,
            finish_timeout=PATIENCE,
            finish_timeout_raises=False,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "aiga"),
            name=about.name,
            id=identity,
            resume="allow",
            config=about.settings(),
            dir=str(about.folder),
            mode=os.environ.get("WANDB_MODE", "offline"),  # pyright: ignore[reportArgumentType]
            settings=settings,
        )

    def log(self, iteration: int, numbers: Mapping[str, float]) -> None:
        self._run.log(dict(numbers), step=iteration)

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """A run of MLflow, in a database in the folder, or where MLFLOW_TRACKING_URI says.

    Its folders of files are in maintenance. `mlflow ui --backend-store-uri` reads
    sqlite:///runs/NAME/mlflow/mlflow.db.
    """

    def __init__(self, about: About):
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        identity, artifacts = about.identity(), None
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        if uri is None:
            uri = f"sqlite:///{self._database(about.folder.absolute())}"
            artifacts = (about.folder.absolute() / "artifacts").as_uri()
        self._metric = Metric
        self._client = MlflowClient(tracking_uri=uri)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "aiga")
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else self._client.create_experiment(name, artifacts)
        same = self._client.search_runs([experiment], f"tags.`aiga.id` = '{identity}'", max_results=1)
        if same:
            self._run = same[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
        else:
            made = self._client.create_run(experiment, run_name=about.name, tags={"aiga.id": identity})
            self._run = made.info.run_id
            params = [Param(key, str(value)[:500]) for key, value in about.settings().items()]
            self._client.log_batch(self._run, params=params[:100])

    @staticmethod
    def _database(folder: Path) -> Path:
        """Made under another name first: MLflow cannot go on with one that was interrupted while it was made,
        which takes seconds."""
        from mlflow.tracking import MlflowClient

        database, part = folder / "mlflow.db", folder / "mlflow.part"
        if not database.exists():
            for left in folder.glob("mlflow.part*"):
                left.unlink()
            MlflowClient(tracking_uri=f"sqlite:///{part}").search_experiments()
            part.replace(database)
        return database

    def log(self, iteration: int, numbers: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, iteration) for name, value in numbers.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self) -> None:
        self._client.set_terminated(self._run)


@dataclass(frozen=True)
class Kind:
    """A sink that can be asked for: how it is opened, and its library's modules, which `load` imports with
    `environment` where nothing else is set there."""

    open: Callable[[About], Sink]
    modules: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def load(self) -> None:
        """Called where the run is, not in the sink's thread: Python 3.11 fails now and then where two threads
        parse at a time ("AST constructor recursion depth mismatch"), and the other one may be the run's."""
        for name, value in self.environment.items():
            os.environ.setdefault(name, value)
        for module in self.modules:
            importlib.import_module(module)


SINKS: dict[str, Kind] = {
    "tensorboard": Kind(TensorBoard, ("tensorboardX",)),
    "wandb": Kind(WandB, ("wandb",), {"WANDB_ERROR_REPORTING": "false"}),
    "mlflow": Kind(
        MLflow,
        ("alembic", "mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store"),
        {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"},
    ),
}
