"""The command line as a person meets it: what it prints, where it stops, and one line for every mistake."""

import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import toy
from aiga import registry
from aiga.runs.store import Store
from stores import dump


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of the toy system, `night`."""
    folder = tmp_path_factory.mktemp("cli")
    assert toy.main(["run", "toy", "--name", "night", "--iterations", "20", "--runs-dir", str(folder)]) == 0
    return folder


def say(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command that succeeds prints."""
    capsys.readouterr()
    status = toy.main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    return out


def refuse(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one line of a command that fails."""
    capsys.readouterr()
    status = toy.main([str(word) for word in words])
    _, err = capsys.readouterr()
    assert status == 2
    assert err.startswith("aiga: ")
    assert err.count("\n") == 1, err
    return err.removeprefix("aiga: ").rstrip()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["rum"],
            "COMMAND: one of run, view, list, show, replay, export, experiment, bench, not 'rum'; "
            "did you mean run?",
        ),
        (
            ["experiment", "anml", "--arm", "omil"],
            "--arm: one of 'anml', 'oml', 'oml-linear', 'pretrained', 'random', not 'omil'; "
            "did you mean oml?",
        ),
        (
            ["experiment", "digits", "--arm", "search"],
            "--arm: not of digits, whose arms are only told together",
        ),
        (
            ["run"],
            "SYSTEM: is missing; there is poet, ppo, automl-zero, maml, es-maml, maml-rl, anml, rl2, toy",
        ),
        (
            ["run", "toi"],
            "system: one of poet, ppo, automl-zero, maml, es-maml, maml-rl, anml, rl2, toy, not 'toi'; "
            "did you mean toy?",
        ),
        (
            ["run", "poet", "--preset", "labtop"],
            "preset: one of enhanced-laptop, enhanced-paper, laptop, paper, not 'labtop'; "
            "did you mean laptop?",
        ),
        (["run", "toy", "--preset", "laptop"], "preset: toy has none"),
        (
            ["run", "toy", "--es.populaton", "3"],
            "es.populaton: no such option or field; did you mean es.population?",
        ),
        (["run", "toy", "--es.population", "many"], "es.population: a whole number, not 'many'"),
        (["run", "toy", "--es.population"], "es.population: a whole number"),
        (["run", "toy", "--es.population=1"], "es.population: from 2"),
        (["run", "toy", "--es.rate", "nan"], "es.rate: a finite number, not nan"),
        (["run", "toy", "--reach", "1"], "reach: 2 numbers, not '1'"),
        (["run", "toy", "--quick", "maybe"], "quick: True or False, not 'maybe'"),
        (["run", "toy", "--capacity", "101"], "capacity: 1 to 100"),
        (["run", "toy", "--seed", "-1"], "seed: a whole number from 0 to 4294967295, not '-1'"),
        (["run", "toy", "--minutes", "0"], "minutes: a number above 0, not '0'"),
        (["run", "toy", "--hours", "inf"], "hours: a number above 0, not 'inf'"),
        (["run", "toy", "--iterations", "2.5"], "iterations: a whole number from 1, not '2.5'"),
        (["run", "toy", "--minutes", "1", "--hours", "1"], "hours: not allowed with argument --minutes"),
        (["run", "toy", "--config", "none.toml"], "config: none.toml: No such file or directory"),
        (["run", "poet", "--es.population", "7"], "es.population: "),
        (["show", "../night"], "NAME: letters, digits, '.', '_' and '-', not beginning with '.'"),
        (["show", ".night"], "NAME: letters, digits, "),
        (["show", "day"], "day: no such run in "),
        (["show"], "NAME: is missing"),
        (["show", "night", "--jason"], "jason: no such option"),
        (["replay", "night", "0"], "out: is missing"),
        (["replay", "night", "-1", "--out", "a.gif"], "ENV: a whole number from 0, not '-1'"),
        (["replay", "night", "0", "--out", "a.gif"], "name: night is a run of toy, which cannot be drawn"),
        (["export", "night", "0", "there"], "name: night is a run of toy, whose agents do not stand alone"),
        (["bench", "walkre"], "NAME: one of "),
        (["bench", "poet", "--engine", "jax"], "engine: goes with walker alone"),
    ],
)
def test_every_mistake_gets_one_line(
    runs: Path,
    words: list[str],
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(runs)
    where = [] if len(words) < 2 or words[0] == "bench" else ["--runs-dir", str(runs)]
    assert refuse(capsys, *words, *where).startswith(line)
    # A refused run leaves nothing behind.
    assert [path.name for path in runs.iterdir()] == ["night"]


def test_a_refused_run_takes_no_database_of_somebody_else_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "mine" / "run.db"
    theirs.parent.mkdir()
    with sqlite3.connect(theirs) as db:
        db.execute("create table notes (line text)")
    words = ["run", "automl-zero", "--name", "mine", "--task", "folder:/nowhere"]
    refuse(capsys, *words, "--runs-dir", tmp_path)
    with sqlite3.connect(theirs) as db:
        assert db.execute("select name from sqlite_master").fetchall() == [("notes",)]


def test_flags_over_file_over_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("capacity = 7\nreach = [0, 5]\n[es]\nrate = 1\npopulation = 8\n")
    words = ["run", "toy", "--iterations", 1, "--runs-dir", tmp_path, "--config", file]
    say(capsys, *words, "--es.population", 6, "--no-quick", "--reach", -1, 2)
    with Store.open(tmp_path / "toy-0001") as store:
        run = store.run()
    assert run is not None
    assert run.config == {
        "es": {"rate": 1.0, "population": 6},
        "capacity": 7,
        "every": 3,
        "reach": [-1.0, 2.0],
        "quick": False,
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("capacity = 'x'", "capacity: a whole number, not 'x'"),
        ("capacity = 2.5", "capacity: a whole number, not 2.5"),
        ("[es]\nraet = 1", "es.raet: no such field; did you mean es.rate?"),
        ("es = 3", "es: a table of fields, not 3"),
        ("[capacity]\nx = 1", "capacity.x: no such field"),
        ("reach = [1, 2, 3]", "reach: 2 values, not 3"),
        ("capacity = ", "config: "),
    ],
)
def test_a_mistake_in_a_file_gets_one_line(
    tmp_path: Path, text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text(text)
    words = ["run", "toy", "--runs-dir", tmp_path / "runs", "--config", tmp_path / "mine.toml"]
    assert refuse(capsys, *words).startswith(line)


def test_a_run_goes_on_and_keeps_its_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "toy", "--name", "night", "--runs-dir", tmp_path]
    out = say(capsys, *words, "--seed", 5, "--capacity", 3, "--iterations", 4)
    assert f"continue:  aiga run toy --name night --runs-dir {tmp_path}" in out
    out = say(capsys, *words, "--iterations", 6)
    assert "seed 5, goes on from iteration 4" in out
    say(capsys, *words, "--iterations", 6, "--seed", 5, "--capacity", 3)
    line = refuse(capsys, *words, "--capacity", 4)
    assert line == "capacity: 3 in night, and a run keeps it; 4 needs a run with a new --name"
    line = refuse(capsys, *words, "--seed", 6)
    assert line == "seed: 5 in night, and a run keeps it; start another with a new --name"
    line = refuse(capsys, "run", "poet", "--name", "night", "--runs-dir", tmp_path)
    assert line == "name: night is a run of toy, not of poet"
    with Store.open(tmp_path / "night", write=True):
        assert "is already working on this run" in refuse(capsys, *words)


def test_new_names_are_counted_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "toy-0007").mkdir()
    for _ in range(2):
        say(capsys, "run", "toy", "--iterations", 1, "--runs-dir", tmp_path)
    listed = json.loads(say(capsys, "list", "--json", "--runs-dir", tmp_path))
    assert [row["name"] for row in listed] == ["toy-0008", "toy-0009"]
    assert listed[0]["system"] == "toy"
    assert re.search(r"toy-0008 +toy +0 +1 +1 +\d +100", say(capsys, "list", "--runs-dir", tmp_path))


def test_show_as_data(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(say(capsys, "show", "night", "--json", "--runs-dir", runs))
    assert set(shown) == {"environments", "transfers", "annecs", "iteration", "steps"}
    assert (shown["iteration"], shown["steps"]) == (20, 2000)
    fields = {"id", "parent", "born", "ended", "solved", "score", "agent", "course"}
    assert all(set(environment) == fields for environment in shown["environments"])
    assert all(set(t) == {"iteration", "source", "target", "kind", "gain"} for t in shown["transfers"])
    assert [environment["id"] for environment in shown["environments"]] == list(
        range(len(shown["environments"]))
    )
    with Store.open(runs / "night") as store:
        with closing(sqlite3.connect(runs / "night" / "run.db")) as db:
            data = db.execute("SELECT sha, bytes FROM blobs").fetchall()
        agents = {sha for sha, held in data if held is not None and hashlib.sha256(held).hexdigest() == sha}
        assert all(environment["agent"] in agents for environment in shown["environments"])
        assert shown["annecs"] == store.summary().metrics["annecs"]


def test_show_as_a_tree(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(say(capsys, "show", "night", "--json", "--runs-dir", runs))["environments"]
    text = say(capsys, "show", "night", "--runs-dir", runs)
    lines = re.findall(r"^([│├└ ]*?) *(\d+) (\*| )(~| ) +(-?[\d.]+|none) +(\d+)  (.*)$", text, re.M)
    assert {int(line[1]) for line in lines} == {environment["id"] for environment in shown}
    for _, number, solved, ended, score, born, _ in lines:
        row = shown[int(number)]
        assert (solved == "*", ended == "~") == (row["solved"] is not None, row["ended"] is not None)
        assert int(born) == row["born"]
        assert score == ("none" if row["score"] is None else f"{row['score']:.1f}")
    assert "\x1b" not in text


def test_damage_is_one_line(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(runs / "night", tmp_path / "night")
    db = sqlite3.connect(tmp_path / "night" / "run.db")
    db.execute("UPDATE environments SET course = 'x' WHERE id = 1")
    db.commit()
    for words in (["show", "night"], ["run", "toy", "--name", "night", "--iterations", 30]):
        line = refuse(capsys, *words, "--runs-dir", tmp_path)
        assert line == "night: damaged: environments 1, course: not JSON"
    db.execute("UPDATE run SET format = 99")
    db.commit()
    db.close()
    assert "made by a newer aiga" in refuse(capsys, "show", "night", "--runs-dir", tmp_path)
    assert "made by a newer aiga" in say(capsys, "list", "--runs-dir", tmp_path)


def test_an_agent_walks_without_aiga(tmp_path: Path) -> None:
    """The exported policy imports NumPy alone, and acts as the brain does."""
    from aiga.brains import MLP
    from aiga.cli.export import export

    brain = MLP((24, 7, 4), activation="relu", output="tanh")
    weights = np.random.default_rng(0).normal(size=brain.count).astype(np.float32)
    export(
        weights, registry.Policy(brain.sizes, brain.activation, brain.output), tmp_path, {"agent": "a" * 64}
    )
    observations = np.random.default_rng(1).normal(size=(5, 24)).astype(np.float32)
    np.save(tmp_path / "seen.npy", observations)
    program = (
        "import sys, numpy; loaded = set(sys.modules); from policy import act\n"
        "numpy.save('done.npy', act(numpy.load('seen.npy')))\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - loaded} - sys.stdlib_module_names\n"
        "assert new == {'policy'}, new"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    expected = brain.act(brain.unflatten(weights), (), observations)[0]
    np.testing.assert_allclose(np.load(tmp_path / "done.npy"), expected, atol=1e-6)
    assert json.loads((tmp_path / "weights.safetensors").read_bytes()[8:].split(b"}}")[0] + b"}}")[
        "__metadata__"
    ]


# Numbers of POET with which everything happens within seconds, whether a walker walks or not.
HASTY = {
    "capacity": 2,
    "reproduce-every": 2,
    "reproduce-score": -1000,
    "children": 2,
    "minimal-low": -1000,
    "minimal-high": 1000,
    "transfer-every": 2,
    "fine-tuned": 1,
    "episodes": 2,
    "confirm": 0,
    "es.population": 8,
}


def test_poet_from_run_to_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walker's POET in three sessions and in one gives the same bytes. Then what a person does next."""
    fields = [str(word) for name, value in HASTY.items() for word in (f"--{name}", value)]
    where = ["--runs-dir", tmp_path]
    for name, stops in (("parts", (2, 5, 7)), ("whole", (7,))):
        for stop in stops:
            out = say(capsys, "run", "poet", "--name", name, *fields, "--iterations", stop, *where)
        assert "watch:     aiga replay" in out
    assert dump(tmp_path / "parts") == dump(tmp_path / "whole")

    shown = json.loads(say(capsys, "show", "whole", "--json", *where))
    first = shown["environments"][0]
    assert first["ended"] is not None, "nothing was archived"
    assert shown["transfers"]
    assert shown["steps"] > 0
    assert len(first["course"]["left"]) == len(first["course"]["right"])

    # The present agent of an environment is the one in the state, not the one it was born with.
    newest = shown["environments"][-1]
    with Store.open(tmp_path / "whole") as store:
        _, encoded = store.load()
        weights = store.array(newest["agent"])
        assert any(np.array_equal(weights, array) for array in encoded.arrays.values())

    picture = tmp_path / "walk.gif"
    out = say(
        capsys, "replay", "whole", 1, "--agent", first["agent"][:8], "--out", picture, "--lidar", *where
    )
    assert re.search(rf"agent {first['agent'][:12]} in environment 1: .* in \d+ steps, return -?\d", out)
    assert picture.read_bytes().startswith(b"GIF89a")
    video = tmp_path / "walk.mp4"
    again = say(capsys, "replay", "whole", 1, "--agent", first["agent"][:8], "--out", video, *where)
    assert again == out.replace(".gif", ".mp4")
    assert video.read_bytes()[4:8] == b"ftyp"
    lines = say(capsys, "export", "whole", 1, tmp_path / "out", *where).split()
    assert [Path(line).name for line in lines] == ["weights.safetensors", "policy.py"]

    assert refuse(capsys, "replay", "whole", 99, "--out", picture, *where).startswith(
        "ENV: the id of an environment"
    )
    assert refuse(capsys, "replay", "whole", 0, "--out", "a.png", *where).startswith(
        "out: a file that ends in .gif or .mp4, not 'a.png'"
    )
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "av", None)
        line = refuse(capsys, "replay", "whole", 0, "--out", video, *where)
        assert line == "out: .mp4 needs av: pip install 'aiga[video]'"
    assert refuse(capsys, "export", "whole", "ffff", tmp_path, *where).startswith(
        "agent: an environment's id or at"
    )
    assert refuse(capsys, "export", "whole", "f" * 64, tmp_path, *where).startswith(
        "agent: no agent begins with"
    )
    assert refuse(capsys, "run", "poet", "--name", "whole", "--preset", "paper", *where).startswith(
        "capacity: 2 in "
    )

    db = sqlite3.connect(tmp_path / "whole" / "run.db")
    course = {**first["course"], "left": [None, *first["course"]["left"][1:]]}
    db.execute("UPDATE environments SET course = ? WHERE id = 0", [json.dumps(course)])
    db.commit()
    db.close()
    line = refuse(capsys, "replay", "whole", 0, "--out", picture, *where)
    assert line.startswith("course.left: ")


def test_a_file_with_a_world_of_your_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parents[1] / "examples" / "own_world.py"
    words = ["run", example, "--es.population", 8, "--episodes", 2, "--runs-dir", tmp_path]
    assert "own_world-0001: iteration 2" in say(capsys, *words, "--iterations", 2)
    out = say(capsys, *words, "--name", "own_world-0001", "--iterations", 3)
    assert "own_world.py, seed 0, goes on from iteration 2" in out
    assert "heights" not in say(capsys, "show", "own_world-0001", "--runs-dir", tmp_path)
    line = refuse(capsys, "replay", "own_world-0001", 0, "--out", tmp_path / "a.gif", "--runs-dir", tmp_path)
    assert line == "name: own_world-0001 is a run of own_world.py, which cannot be drawn"
    (tmp_path / "empty.py").write_text("")
    assert "needs a function system(config=...)" in refuse(capsys, "run", tmp_path / "empty.py")
    assert refuse(capsys, "run", tmp_path / "none.py").endswith("none.py: no such file")


def test_help_names_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    shown = say(capsys, "run", "toy", "--help")
    for word in ("--es.population", "--capacity", "--name", "--minutes", "Most walkers at a time"):
        assert word in shown
    assert "aiga run poet --minutes 10" in say(capsys, "--help")
    assert re.fullmatch(r"aiga \d+\.\d+\.\d+\n", say(capsys, "--version"))
