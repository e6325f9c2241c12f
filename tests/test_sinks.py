"""Sinks: what they are told, and that a run goes on whatever they do."""

import importlib.util
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import toy
from aiga.runs import sinks
from aiga.runs.sinks import About, Kind
from aiga.runs.store import Run, Store
from stores import dump
from test_cli import refuse, say
from test_runs import config

Told = list[tuple[int, dict[str, float]]]


class Fake:
    """A sink that keeps what it is told, and at `moment` does what `harm` says."""

    def __init__(self, told: Told, moment: str = "", harm: BaseException | threading.Event | None = None):
        self.told, self.moment, self.harm = told, moment, harm
        self._at("open")

    def _at(self, moment: str) -> None:
        if moment == self.moment and isinstance(self.harm, threading.Event):
            self.harm.wait(600)
        elif moment == self.moment and self.harm is not None:
            raise self.harm

    def log(self, iteration: int, numbers: Mapping[str, float]) -> None:
        if iteration == 3:
            self._at("log")
        self.told.append((iteration, dict(numbers)))

    def close(self) -> None:
        self._at("close")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The rows of a run without sinks."""
    folder = tmp_path_factory.mktemp("alone")
    assert toy.main(["run", "toy", "--name", "night", "--iterations", "8", "--runs-dir", str(folder)]) == 0
    return dump(folder / "night")


@pytest.fixture
def forever() -> Iterator[threading.Event]:
    """What a sink that hangs waits for: the end of the test."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("moment", ["open", "log", "close"])
@pytest.mark.parametrize("harm", [OSError("no\nroom"), SystemExit(1), None], ids=["raises", "exits", "hangs"])
def test_a_sink_that_fails_or_hangs_stops_nothing(
    moment: str,
    harm: BaseException | None,
    forever: threading.Event,
    alone: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told: Told = []
    bad = Kind(lambda about: Fake([], moment, harm or forever), ())
    monkeypatch.setattr(sinks, "SINKS", {"wandb": bad, "mlflow": Kind(lambda about: Fake(told), ())})
    monkeypatch.setattr(sinks, "PATIENCE", 0.2)
    begin = time.monotonic()
    out = say(
        capsys,
        *("run", "toy", "--name", "night", "--iterations", 8, "--runs-dir", tmp_path),
        *("--sink", "wandb", "--sink", "mlflow"),
    )
    assert time.monotonic() - begin < 20
    notes = [line for line in out.splitlines() if line.startswith("note: sink ")]
    if harm is None:
        assert notes == ["note: sink wandb did not end within 0 s and may be incomplete"]
    else:
        kind = type(harm).__name__
        said = f"note: sink wandb failed, the run goes on without it: {kind} {' '.join(str(harm).split())}"
        assert notes == [said]
    assert dump(tmp_path / "night") == alone
    assert [iteration for iteration, _ in told] == list(range(1, 9))


@pytest.mark.parametrize("fault", ["", "raise RuntimeError('a fault')"])
def test_a_process_ends_though_its_sink_hangs(tmp_path: Path, fault: str) -> None:
    """Also where the sink's library hangs at exit. The exit status is still the command's."""
    program = (
        "import atexit, sys, time; sys.path.insert(0, sys.argv.pop(1))\n"
        "import toy; from aiga import cli, registry; from aiga.runs import sinks\n"
        "def hang(about): atexit.register(time.sleep, 600); time.sleep(600)\n"
        "sinks.SINKS['wandb'] = sinks.Kind(hang, ())\n"
        "class Toy(toy.Toy):\n"
        "    def step(self, key, state):\n"
        f"        {fault or 'pass'}\n"
        "        return super().step(key, state)\n"
        "registry.SYSTEMS['toy'] = registry.Entry('', config=toy.Config, build=Toy)\n"
        "cli.program()"
    )
    words = ["run", "toy", "--iterations", "3", "--sink", "wandb", "--runs-dir", str(tmp_path)]
    command = [sys.executable, "-c", program, str(Path(toy.__file__).parent), *words]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    last = ran.stderr.splitlines()[-1:]
    assert (ran.returncode, last) == ((1, ["RuntimeError: a fault"]) if fault else (0, []))
    assert "note: sink wandb did not end within 2 s" in ran.stdout


def test_a_slow_sink_loses_iterations_and_says_how_many(
    forever: threading.Event,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sinks, "SINKS", {"wandb": Kind(lambda about: Fake([], "open", forever), ())})
    monkeypatch.setattr(sinks, "PATIENCE", 0.1)
    monkeypatch.setattr(sinks, "WAITING", 5)
    out = say(capsys, "run", "toy", "--iterations", 8, "--sink", "wandb", "--runs-dir", tmp_path)
    assert "note: sink wandb was too slow; 3 iterations are missing there" in out


def test_a_resumed_run_tells_every_iteration_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: Told = []
    monkeypatch.setattr(sinks, "SINKS", {"wandb": Kind(lambda about: Fake(told), ())})
    for last in (4, 9):
        words = ["run", "toy", "--name", "night", "--iterations", last, "--runs-dir", tmp_path]
        say(capsys, *words, "--sink", "wandb", "--sink", "wandb")
    assert [iteration for iteration, _ in told] == list(range(1, 10))
    with Store.open(tmp_path / "night") as store:
        rows = store.rows("metrics")
        kinds = [(row["iteration"], row["kind"]) for row in store.rows("events")]
    for iteration, numbers in told:
        metrics = {
            r["name"]: r["value"] for r in rows if r["iteration"] == iteration and r["value"] is not None
        }
        assert {name: numbers[name] for name in metrics} == metrics
        assert numbers["seconds"] > 0
        counted = {name: count for name, count in numbers.items() if name.startswith("events/")}
        assert sum(counted.values()) == sum(i == iteration for i, _ in kinds)
        assert not {"loss", "events/score"} & set(numbers)


def test_a_missing_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sinks.SINKS, "wandb", Kind(lambda about: Fake([]), ("no_such_package.part",)))
    line = refuse(capsys, "run", "toy", "--sink", "wandb", "--runs-dir", tmp_path)
    assert line == "sink: wandb needs pip install 'aiga[wandb]'"
    assert refuse(capsys, "run", "toy", "--sink", "paper").startswith("sink: invalid choice: 'paper'")
    assert not list(tmp_path.iterdir())


def test_what_is_not_asked_for_is_not_loaded(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import toy; toy.main(sys.argv[2:])\n"
        "unasked = {'tensorboardX', 'wandb', 'mlflow', 'alembic', 'psycopg'} & set(sys.modules)\n"
        "sys.exit(' '.join(unasked) or 0)"
    )
    words = ["run", "toy", "--iterations", "1", "--runs-dir", str(tmp_path)]
    command = [sys.executable, "-c", program, str(Path(toy.__file__).parent), *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


# -- the libraries themselves -------------------------------------------------------------------------------


def installed(name: str) -> pytest.MarkDecorator:
    packages = {module.partition(".")[0] for module in sinks.SINKS[name].modules}
    there = all(importlib.util.find_spec(package) for package in packages)
    return pytest.mark.skipif(not there, reason=f"{name} is not installed: pip install 'aiga[{name}]'")


def events(folder: Path) -> Iterator[tuple[int, str, float]]:
    """Step, tag and value of everything in TensorBoard's event files: records of TFRecord, each its length,
    a checksum, the bytes and a checksum."""
    from tensorboardX.proto.event_pb2 import Event

    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack_from("<Q", data)
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                yield event.step, value.tag, value.simple_value


@installed("tensorboard")
def test_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sinks, "PATIENCE", 60.0)
    for last in (3, 5):
        words = ["run", "toy", "--name", "night", "--iterations", last, "--runs-dir", tmp_path]
        assert "note:" not in say(capsys, *words, "--sink", "tensorboard")
    found = list(events(tmp_path / "night" / "tensorboard"))
    assert [(step, value) for step, tag, value in found if tag == "steps"] == [
        (i, 100.0 * i) for i in range(1, 6)
    ]
    assert {tag for _, tag, _ in found} >= {"seconds", "active", "events/birth"}


def history(file: Path) -> list[int]:
    """The steps in a file of wandb's: records in LevelDB's log format, whole or in parts, in blocks."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, record, steps = file.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if (room := 32768 - at % 32768) < 7:
            at += room
            continue
        length, part = struct.unpack_from("<HB", data, at + 4)
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if part in (1, 4):  # whole, last
            found = Record.FromString(record)
            steps += [found.history.step.num] if found.HasField("history") else []
            record = b""
    return steps


@installed("wandb")
def test_wandb_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two sessions are two files of one run, which `wandb sync` puts together."""
    monkeypatch.setattr(sinks, "PATIENCE", 60.0)
    for last in (30, 60):
        words = ["run", "toy", "--name", "night", "--iterations", last, "--runs-dir", tmp_path]
        say(capsys, *words, "--sink", "wandb")
    folder = tmp_path / "night" / "wandb"
    identity = (folder / "id").read_text()
    files = sorted(folder.glob(f"wandb/offline-run-*/run-{identity}.wandb"))
    assert [history(file) for file in files] == [list(range(1, 31)), list(range(31, 61))]


@installed("mlflow")
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its thread, as making the database takes MLflow seconds."""
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    kind, about = sinks.SINKS["mlflow"], About("night", Run("toy", 3, config()), tmp_path / "mlflow")
    kind.load()
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.part").write_bytes(b"left by a process that was killed")
    for iterations in (range(1, 4), range(4, 6)):
        sink = kind.open(about)
        for iteration in iterations:
            sink.log(iteration, {"steps": 100.0 * iteration, "events/birth": 1.0})
        sink.close()
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}")
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert run.info.run_name == "night"
    assert (run.info.status, run.data.params["es.population"]) == ("FINISHED", "4")
    history = client.get_metric_history(run.info.run_id, "steps")
    assert sorted((metric.step, metric.value) for metric in history) == [(i, 100.0 * i) for i in range(1, 6)]
