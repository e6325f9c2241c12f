"""AutoML-Zero: its tasks, its islands, what it finds, and that it can be killed."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from math import comb
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from aiga import found_programs
from aiga.brains.programs import kernel, known
from aiga.brains.programs.ops import Program, Sizes
from aiga.brains.programs.traced import Machine
from aiga.cli import main
from aiga.cli.settings import from_preset, presets, resolve
from aiga.learners.program import Experience, ProgramLearner
from aiga.runs import codec
from aiga.runs.loop import drive
from aiga.runs.store import Run, Store
from aiga.systems.architectures.automl_zero import AutoMLZero, Config, State
from aiga.worlds import supervised
from aiga.worlds.image_files import Images
from aiga.worlds.supervised import Shape
from stores import dump

SMALL = Config(
    task="digits",
    tasks=12,
    select_tasks=9,
    train=40,
    valid=20,
    population=50,
    chunk=200,
    cache=500,
    hurdle_tasks=4,
)
SHAPE = Shape(8, 60, 40)


def digits() -> Images:
    found = supervised.images("digits")
    assert found is not None
    return found


def preset(name: str, **more: Any) -> Config:
    return replace(resolve(Config(), from_preset(Config, "automl-zero", name)), **more)


def ran(
    config: Config, steps: int, seed: int = 0, threads: int = 1, spread: Any = None
) -> tuple[State, list[Any]]:
    system, key, events = AutoMLZero(config, threads, spread), jax.random.key(seed), []
    state = system.init(key)
    for time in range(steps):
        state, told = system.step(jax.random.fold_in(key, time), state)
        events += told
    return state, events


def bytes_of(value: Any) -> Any:
    encoded = codec.encode(value)
    return encoded.tree, {name: array.tobytes() for name, array in encoded.arrays.items()}


@pytest.mark.parametrize("name", ["linear", "affine", "teacher", "digits", "digits-rest"])
def test_tasks_are_the_same_again_and_others_by_kind(name: str) -> None:
    made = [supervised.tasks(name, kind, 3, SHAPE, 5) for kind in ("search", "select", "test", "search")]
    for examples in made:
        assert examples.train_x.shape == (3, 60, 8) and examples.train_y.shape == (3, 60)
        assert examples.valid_x.shape == (3, 40, 8) and examples.valid_y.shape == (3, 40)
    assert all(np.array_equal(a, b) for a, b in zip(made[0], made[3], strict=True))
    first = {examples.train_x.tobytes() for examples in made}
    assert len(first) == 3 and supervised.tasks(name, "search", 3, SHAPE, 6).train_x.tobytes() not in first


@pytest.mark.parametrize(("name", "program"), [("linear", known.linear()), ("teacher", known.network())])
def test_the_papers_programs_learn_their_tasks(name: str, program: Program) -> None:
    """The linear regressor solves its task. On the teacher's the network beats it."""
    tasks = kernel.Tasks(*supervised.tasks(name, "search", 8, Shape(4, 1000, 100), 0))
    line, mine = kernel.evaluate([known.linear(), program], Sizes(5, 9, 2, 4), tasks, kernel.Rules(epochs=20))
    assert np.median(mine) > 0.99 if name == "linear" else np.median(mine) > np.median(line) + 0.05


def test_one_digit_is_told_from_all_others_half_and_half() -> None:
    seen = {kind: supervised.tasks("digits-rest", kind, 60, SHAPE, 2) for kind in supervised.KINDS}
    for examples in seen.values():
        assert abs(examples.train_y.mean() - 0.5) < 0.03
    tasks = kernel.Tasks(*seen["search"])
    scores = kernel.evaluate(
        [known.constant(), known.network(0.1)], Sizes(5, 9, 2, 8), tasks, kernel.Rules("accuracy", 10)
    ).mean(1)
    assert scores[0] < 0.65 and scores[1] > 0.8


def test_no_pair_is_searched_on_selected_by_and_tested_on() -> None:
    y = digits().y
    for seed in range(20):
        search, select, test = (supervised.pairs(y, kind, seed) for kind in supervised.KINDS)
        assert (len(search), len(select), len(test)) == (27, 9, 9)
        assert len({*search, *select, *test}) == 45


def test_images_kept_back_are_judged_on_in_tests_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image is its own number, and nothing is projected or standardised."""
    y = digits().y
    np.save(tmp_path / "x.npy", np.arange(len(y))[:, None].astype(float))
    np.save(tmp_path / "y.npy", y)
    monkeypatch.setattr(supervised, "_projected", lambda rng, x, shape: x)
    name, shape = f"folder:{tmp_path}", Shape(1, 100, 100)
    seen = {kind: supervised.tasks(name, kind, 90, shape, 3) for kind in supervised.KINDS}
    judged = set(seen["test"].valid_x.ravel())
    for kind, examples in seen.items():
        assert not judged & set(examples.train_x.ravel()), kind
        for train, valid in zip(examples.train_x, examples.valid_x, strict=True):
            assert not set(train.ravel()) & set(valid.ravel())
    assert not judged & (set(seen["search"].valid_x.ravel()) | set(seen["select"].valid_x.ravel()))
    assert seen["test"].valid_x.shape[1] < 100


def test_a_folder_of_quantities_is_regression(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2, 3))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x.sum((1, 2)))
    name = f"folder:{tmp_path}"
    assert supervised.score(supervised.images(name)) == "rmse" and supervised.score(digits()) == "accuracy"
    tasks = kernel.Tasks(*supervised.tasks(name, "select", 2, Shape(16, 150, 50), 0))
    assert kernel.evaluate([known.linear()], Sizes(features=16), tasks, kernel.Rules(epochs=50)).min() > 0.9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "x.npy: No such file"),
        (lambda folder: (folder / "x.npy").write_bytes(b"none"), "x.npy: not an array of NumPy's"),
        (lambda folder: np.save(folder / "x.npy", np.array([{}])), "x.npy: not an array of NumPy's"),
        (
            lambda folder: np.save(folder / "x.npy", np.zeros((4, 2))),
            r"and y.npy \[I\], not \[4, 2\] and \[3\]",
        ),
        (
            lambda folder: np.save(folder / "x.npy", np.full((3, 2), np.nan)),
            "x.npy: numbers that are not finite",
        ),
        (lambda folder: np.save(folder / "x.npy", np.zeros((3, 2))), "3 examples in all"),
    ],
)
def test_a_folder_that_will_not_do_is_refused_in_a_line(tmp_path: Path, make: Any, message: str) -> None:
    np.save(tmp_path / "y.npy", np.zeros(3))
    make(tmp_path)
    with pytest.raises(ValueError, match=message):
        AutoMLZero(replace(SMALL, task=f"folder:{tmp_path}")).init(jax.random.key(0))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task", "cifar"), ("task", "folder:"), ("population", 0), ("migrants", 51), ("hurdle_tasks", 12),
        ("begin", (8, 0, 0)), ("most", (256, 1, 1)), ("learn_ops", ("v dott",)), ("mutate", 1.5),
        ("combine", "best"), ("print_train", 41), ("chunk", 0),
    ],
)  # fmt: skip
def test_a_field_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(SMALL, **{field: value})


def test_the_presets_are_configurations() -> None:
    assert presets("automl-zero") == ["demo", "digits", "section-4.2"]
    for name in presets("automl-zero"):
        AutoMLZero(preset(name, population=100, cache=100)).init(jax.random.key(0))


def test_any_threads_give_the_same_bytes() -> None:
    one, two, three = (ran(SMALL, 4, threads=threads) for threads in (1, 2, 5))
    assert bytes_of(one) == bytes_of(two) == bytes_of(three)
    assert one[0].individuals == 4 * 2 * 200
    assert bytes_of(one) != bytes_of(ran(SMALL, 4, seed=1))


def test_migrants_arrive() -> None:
    """After a chunk every island has some of another one's, as its youngest; without migration none."""
    system, key = AutoMLZero(replace(SMALL, islands=3, migrants=20)), jax.random.key(3)
    state = system.init(key)
    alone = tuple(each.state for each in system.evolve(state))
    log: list[Any] = []
    mixed = system.migrate(key, alone, log)
    assert sorted(event.data["source"] for event in log) == [0, 1, 2] and all(
        event.data["source"] != event.data["target"] for event in log
    )
    for event in log:
        home, host = alone[event.data["source"]], mixed[event.data["target"]]
        rows = np.arange(host.born - 20, host.born) % 50
        at_home = {row.tobytes() for row in home.data}
        assert all(host.data[row].tobytes() in at_home for row in rows)
        stayed = np.setdiff1d(np.arange(50), rows)
        np.testing.assert_array_equal(host.data[stayed], alone[event.data["target"]].data[stayed])
    quiet = ran(replace(SMALL, migrate_every=0), 3)[1]
    assert not [event for event in quiet if event.kind == "migration"]
    some = ran(replace(SMALL, migrate_every=2), 5)[1]
    assert len([event for event in some if event.kind == "migration"]) == 2 * 2


def test_what_it_tells_is_true() -> None:
    config = replace(SMALL, chunk=1500)
    system = AutoMLZero(config)
    state, events = ran(config, 3)
    told = [event.data for event in events if event.kind == "improvement"]
    assert told and state.best and state.chosen and len({data["id"] for data in told}) == len(told)
    for data in told:
        program = Program(
            np.array(data["program"]["code"], np.uint8).reshape(-1, 4),
            np.array(data["program"]["data"], float).reshape(-1, 3),
            tuple(data["program"]["lengths"]),
        ).check(config.sizes)
        np.testing.assert_array_equal(system.judge([program], "select", state.seed), data["selected"])
        assert data["listing"].startswith("def setup():")
        assert len(data["program"]["live"]) == len(program.code)
    assert state.best.fitness == max(data["fitness"] for data in told)
    assert state.chosen.selected == max(data["selected"] for data in told)
    assert [data["id"] for data in told if data["chosen"]][-1] == state.chosen.id
    individuals = [data["individuals"] for data in told]
    assert individuals == sorted(set(individuals)) and individuals[-1] <= 9000
    assert [e.data["seed"] for e in events if e.kind == "tasks"] == [str(state.seed)]
    metrics = [event.data for event in events if event.kind == "metric"]
    assert metrics[-1]["individuals"] == 9000 and metrics[-1]["selected"] == state.chosen.selected
    assert all(0 <= metrics[-1][name] <= 1 for name in ("canonical_hits", "print_hits", "hurdled", "dead"))


def test_every_ancestor_was_told_before() -> None:
    _, events = ran(replace(SMALL, islands=4, migrants=20), 25)
    told: dict[int, dict[str, Any]] = {}
    abroad = 0
    for data in (event.data for event in events if event.kind == "improvement"):
        assert data["id"] % 4 == data["island"]
        if data["parent"] is None:
            assert data["ancestor"] is None
        elif data["ancestor"] is not None:
            before = told[data["ancestor"]]
            assert before["individuals"] < data["individuals"] and before["id"] < data["id"]
            abroad += before["island"] != data["island"]
        told[data["id"]] = data
    # What migrants have come from stays known: on 24 occasions 20 of 50 were exchanged.
    assert abroad > 0


def test_evolution_beats_random_search() -> None:
    """On linear regression, as many individuals each, as in section 4.1: a sign test, 96 % sure."""
    config = preset("demo", islands=1, chunk=100_000, cache=50_000)
    wins, seeds = 0, 8
    for seed in range(seeds):
        searched, _ = ran(config, 1, seed)
        by_chance, _ = ran(replace(config, population=100_000), 1, seed)
        assert searched.best and by_chance.best
        wins += searched.best.fitness > by_chance.best.fitness
    chance = sum(comb(seeds, k) for k in range(wins, seeds + 1)) / 2**seeds
    assert chance < 0.04, f"{wins} of {seeds}"


def test_the_command_line_runs_it_on_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.normal(size=(900, 4, 4)))
    np.save(tmp_path / "y.npy", np.arange(900) % 3)
    words = ["run", "automl-zero", "--runs-dir", str(tmp_path), "--name", "mine", "--iterations", "3"]
    words += [
        "--task",
        f"folder:{tmp_path}",
        "--chunk",
        "500",
        "--population",
        "100",
        "--islands",
        "2",
        "--migrants",
        "9",
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "individuals/s" in said and "best 0." in said and "selected 0." in said
    with Store.open(tmp_path / "mine") as store:
        assert store.summary().metrics["individuals"] == 3000
    assert main([*words[:-6], "--name", "other", "--task", "mnist"]) == 2
    assert (
        "task: one of linear, affine, teacher, digits, digits-rest, folder:PATH, not 'mnist'"
        in capsys.readouterr().err
    )
    for flags, message in (
        (["--task", f"folder:{tmp_path / 'none'}"], "none: No such file or directory"),
        (["--train", "900"], "examples in all is what a task has here, not 900 and 100"),
        (["--hurdle-tasks", "48"], "hurdle_tasks: from 0 to 47, not 48"),
    ):
        assert main([*words[:4], "--name", "bad", *flags]) == 2
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1
        assert not (tmp_path / "bad").exists()


def work(folder: str, iterations: int | None) -> None:
    with Store.open(folder, write=True) as store:
        drive(AutoMLZero(SMALL), store, Run("automl-zero", 4, codec.plain(SMALL)), iterations=iterations)


def test_killed_and_resumed_it_has_the_same_rows(tmp_path: Path) -> None:
    import time

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_automl_zero", "jax", "safetensors.numpy"])
    reached = -1
    for wait in (0.0, 0.05, 0.11):
        process = context.Process(target=work, args=(str(tmp_path / "killed"), None), daemon=True)
        process.start()
        limit, before = time.monotonic() + 60, reached
        while reached <= before + 1 and time.monotonic() < limit:
            time.sleep(0.02)
            if (tmp_path / "killed").is_dir():
                reached = iteration(tmp_path / "killed")
        time.sleep(wait)
        process.kill()
        process.join()
        assert process.exitcode == -9
        reached = iteration(tmp_path / "killed")
    for name in ("killed", "alone"):
        work(str(tmp_path / name), reached + 3)
    assert dump(tmp_path / "killed") == dump(tmp_path / "alone")


def iteration(folder: Path) -> int:
    from aiga.runs.store import RunError

    try:
        with Store.open(folder) as store:
            return -1 if store.run() is None else store.summary().iteration
    except RunError:
        return -1


def test_what_was_found_is_read_and_taken_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--runs-dir", str(tmp_path)]
    assert main(["run", "automl-zero", "--preset", "demo", "--name", "lin", "--iterations", "5", *where]) == 0
    capsys.readouterr()
    assert main(["show", "lin", *where]) == 0
    said = capsys.readouterr().out
    assert "def learn():" in said and "on tasks held out" in said
    assert "How it came about" in said and "came first, with fitness" in said
    assert 1 <= said.count("\nIndividual ") <= 10 and "What fitness loses without each instruction:" in said
    assert main(["export", "lin", "best", str(tmp_path / "out"), *where]) == 0
    space: dict[str, Any] = {}
    exec((tmp_path / "out" / "program.py").read_text(), space)
    with Store.open(tmp_path / "lin") as store:
        best = [
            e["data"] for e in store.rows("events") if e["kind"] == "improvement" and e["data"]["chosen"]
        ][-1]
        run = store.run()
        assert run is not None
        program, sizes = found_programs.program(run.config, store.rows("events"))
    # What the module makes of the tasks held out is what the run said of the program.
    system = AutoMLZero(codec.decode(Config, run.config))
    tasks = system.tasks("select", store_seed(tmp_path / "lin"))
    # So is what the program makes of them as a learner, but in float32.
    found, key = ProgramLearner(Machine(sizes, program.lengths), program), jax.random.key(0)
    errors, misses = [], []
    for x, y, vx, vy in zip(tasks.train_x, tasks.train_y, tasks.valid_x, tasks.valid_y, strict=True):
        learner = space["Learner"]().fit(x, y)
        errors.append(np.sqrt(np.mean((learner.predict(vx) - vy) ** 2)))
        state, _ = found.learn(None, key, found.init(key), Experience(x, y))
        misses.append(np.sqrt(np.mean(found.judge(None, state, Experience(vx, vy))[1]["error"] ** 2)))
    combine = np.median if system.config.combine == "median" else np.mean
    assert combine(1 - 2 / np.pi * np.arctan(errors)) == pytest.approx(best["selected"], abs=1e-9)
    assert combine(1 - 2 / np.pi * np.arctan(misses)) == pytest.approx(best["selected"], abs=1e-4)
    assert main(["export", "lin", "nonsense", str(tmp_path / "out"), *where]) == 2


def store_seed(folder: Path) -> int:
    with Store.open(folder) as store:
        _, encoded = store.load()
    return codec.decode(State, encoded.tree, encoded.arrays).seed
