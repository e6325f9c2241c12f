"""The systems the command line knows, by name or by file. Nothing heavy is imported before one is used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aiga.interfaces import Evaluate, System
from aiga.runs.words import course_in_words

if TYPE_CHECKING:
    import numpy as np

    from aiga.play.cluster import Spread
    from aiga.worlds.walker.course import Course
    from aiga.worlds.walker.episode import Walk


@dataclass(frozen=True)
class Policy:
    """How an agent's flat weights are wired: layers of `sizes`, and their activations."""

    sizes: Sequence[int]
    activation: str
    output: str


@dataclass(frozen=True)
class Film:
    """One episode as numbers, for whoever draws it. T moments, the first one before the first action.

    `kind` says what the K numbers of a moment mean. `walker`, K = 7: x and y (m) of the hull's centre of
    mass, its angle, then the angles of upper and lower leg -1 and upper and lower leg +1 (rad, absolute).
    `aiga.worlds.walker.body.hinged` says where the legs are then: 1 mm off in the median, 14 cm at 99 %.
    """

    kind: str
    rate: float  # moments a second
    moments: np.ndarray  # f32[T, K]
    total: float  # the return
    finished: bool  # the episode reached the world's goal


@dataclass(frozen=True)
class Shown:
    """How a system's episodes are shown. None of this imports JAX, as the page's server asks for it.

    `film(config, pairs)` plays the episodes of `pairs`, (course, weights f32[N], seed u32) each; `kind` is
    that of the films. `ground(course)` is f32[2, C], the left and right height in m of its cells, and
    `words(course)` says what it is like. `behaviour(config, pairs)` is the names of D measures of how agents
    move and f64[P, D] of them, NaN where there is nothing to measure. `config` is the run's configuration as
    it is stored, a course is plain JSON data. ValueError, naming the field, for what does not fit.
    """

    kind: str
    film: Callable[[Mapping[str, Any], Sequence[tuple[Any, Any, int]]], list[Film]]
    ground: Callable[[Any], np.ndarray]
    words: Callable[[Any], str] = course_in_words
    behaviour: (
        Callable[[Mapping[str, Any], Sequence[tuple[Any, Any, int]]], tuple[Sequence[str], np.ndarray]] | None
    ) = None


@dataclass(frozen=True)
class Study:
    """What a run found, looked into when somebody asks for it on the page. None of this imports JAX.

    `tell(config, events, which)` is plain JSON data about what has the number `which`, None where nothing
    has; `events` are those of `kinds`, as they are stored. A run's events are only ever added to, and what
    was told once is told again, but for an answer whose `problem` is not None: `which` must not change its
    meaning. `shortened(events, most)` leaves out some where a file would be too long, all but the latest
    `most` where it is missing.
    """

    kinds: Sequence[str]
    tell: Callable[[Mapping[str, Any], Sequence[Any], int], Mapping[str, Any] | None]
    best: Callable[[Sequence[Any]], int | None]  # the number of what a run has to show, from its events
    shortened: Callable[[Sequence[Any], int], Sequence[Any]] | None = None


@dataclass(frozen=True)
class Entry:
    """One system.

    `config` gives its default configuration, a frozen dataclass, `build` the system from another of that
    class; it takes an `evaluate` too where `evaluator(config, engine, threads)` makes one, for the engines
    `native` and `jax`, or, where it `spreads`, a `play.cluster.Spread`. `preset` names the preset that is
    laid over the default. The rest may be missing:

    `policy` is what `aiga export` writes down. `replay(config, course, weights, seed, out, lidar)` draws one
    episode into a GIF or MP4 and says in a line how it went, or raises ValueError as `shown` does. `panels`
    are the parts of the page, modules of viewer/static/panels, in the order of the navigation; `files` are
    modules for the page that the system brings along; `adopts(config)` says whether a run with this stored
    configuration takes courses from outside. `told(config, rows)` is what `aiga show` says of a run without
    environments, from its events or its metrics, `told_of` says which, as they are stored;
    `source(config, events, which)` the text of a Python module for `aiga export`, of what `which` names;
    ValueError where it names nothing. `study` is what the page is told of programs that were found.
    """

    summary: str
    config: Callable[[], Any]
    build: Callable[..., System[Any]]
    evaluator: Callable[[Any, str, int], Evaluate] | None = None
    spreads: bool = False
    preset: str | None = None
    policy: Callable[[Any], Policy] | None = None
    replay: Callable[[Mapping[str, Any], Any, Any, int, Path, bool], str] | None = None
    shown: Shown | None = None
    panels: Sequence[str] = ("today", "tree", "curves", "transfers", "share")
    files: Sequence[Path] = ()
    adopts: Callable[[Mapping[str, Any]], bool] | None = None
    told: Callable[[Mapping[str, Any], Sequence[Any]], str] | None = None
    told_of: Literal["events", "metrics"] = "events"
    source: Callable[[Mapping[str, Any], Sequence[Any], str], str] | None = None
    study: Study | None = None


def from_file(path: Path) -> Entry:
    """A system of your own: a Python file with a function `system(config=...)`.

    The default of `config` is a frozen dataclass; what the function returns has `init` and `step`. For the
    page the file may also have `shown`, a `Shown`, `panels`, their names, `files`, the paths of modules
    that it brings, relative to its folder and as panels/NAME.js and kinds/NAME.js, `adopts`, and `study`, a
    `Study`. Raises ValueError, saying what is missing.
    """
    import importlib.util
    import inspect

    name = f"aiga_system_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ValueError(f"SYSTEM: {path}: no such file")
    module = importlib.util.module_from_spec(spec)
    # Where annotations are looked up when a state is read back.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    build: Any = getattr(module, "system", None)
    config = inspect.signature(build).parameters.get("config") if build else None
    if config is None or not is_dataclass(config.default):
        raise ValueError(f"SYSTEM: {path}: needs a function system(config=...), its default a dataclass")
    summary = (module.__doc__ or path.name).strip().splitlines()[0]
    return Entry(
        summary,
        config=lambda: config.default,
        build=build,
        shown=getattr(module, "shown", None),
        panels=getattr(module, "panels", Entry.panels),
        files=[path.parent / file for file in getattr(module, "files", ())],
        adopts=getattr(module, "adopts", None),
        study=getattr(module, "study", None),
    )


def _poet_config() -> Any:
    from aiga.walker_poet import Config

    return Config()


def _poet(config: Any, evaluate: Evaluate | None = None) -> System[Any]:
    from aiga.walker_poet import build

    return build(config, evaluate)


def _poet_evaluator(config: Any, engine: Any, threads: int) -> Evaluate:
    from aiga.walker_poet import evaluator

    return evaluator(config, engine, threads)


def _ppo_config() -> Any:
    from aiga.walker_ppo import Config

    return Config()


def _ppo(config: Any) -> System[Any]:
    from aiga.walker_ppo import Alone

    return Alone(config)


def _checked(make: Callable[[], Any]) -> System[Any]:
    """A system whose images have what is asked for; RunError, naming the field, where they do not."""
    from aiga.runs.errors import RunError

    try:
        system = make()
        system.check()
    except ValueError as error:
        raise RunError(str(error)) from None
    return system


def _automl_zero_config() -> Any:
    from aiga.systems.architectures.automl_zero import Config

    return Config()


def _automl_zero(config: Any, spread: Spread | None = None) -> System[Any]:
    from aiga.systems.architectures.automl_zero import AutoMLZero

    return _checked(lambda: AutoMLZero(config, spread=spread))


def _maml_config() -> Any:
    from aiga.systems.learning.maml import Config

    return Config()


def _maml(config: Any) -> System[Any]:
    from aiga.systems.learning.maml import MAML

    return _checked(lambda: MAML(config))


def _maml_told(config: Mapping[str, Any], metrics: Sequence[Any]) -> str:
    from aiga.learnt import starts

    return starts(config, metrics)


def _es_maml_config() -> Any:
    from aiga.walker_maml import Config

    return Config()


def _es_maml(config: Any, evaluate: Evaluate | None = None) -> System[Any]:
    from aiga.walker_maml import build

    return build(config, evaluate)


def _es_maml_evaluator(config: Any, engine: Any, threads: int) -> Evaluate:
    from aiga.walker_maml import evaluator

    return evaluator(config, engine, threads)


def _walks_told(config: Mapping[str, Any], metrics: Sequence[Any]) -> str:
    from aiga.learnt import walks

    return walks(config, metrics)


def _maml_rl_config() -> Any:
    from aiga.walker_maml_rl import Config

    return Config()


def _maml_rl(config: Any) -> System[Any]:
    from aiga.walker_maml_rl import build

    return build(config)


def _anml_config() -> Any:
    from aiga.systems.learning.anml import Config

    return Config()


def _anml(config: Any) -> System[Any]:
    from aiga.systems.learning.anml import ANML

    return ANML(config)


def _anml_told(config: Mapping[str, Any], events: Sequence[Any]) -> str:
    """The latest meta-test, and how many units fire."""
    tests = [event["data"] for event in events if event["kind"] == "meta_test"]
    if not tests:
        return f"not tested yet: the first time after {config['test_every']:,} meta-iterations"
    last = tests[-1]
    done = f"{last['meta_iterations']:,} meta-iterations"
    lines = [f"{config['learner']} after {done}, on classes it never saw:", ""]
    for test in last["tests"]:
        said = f"right on {test['held_out']:.1%} of new images, {test['learnt']:.1%} of those it learnt from"
        lines.append(f"{test['classes']} classes one after the other: {said}")
    before, after = (sum(last[when]) / len(last[when]) for when in ("before", "after"))
    gated = f" before the gate, {after:.1%} after it" if config["learner"] == "anml" else ""
    return "\n".join([*lines, f"features that fire on an image: {before:.1%}{gated}"])


def _rl2_config() -> Any:
    from aiga.systems.learning.rl2 import Config

    return Config()


def _rl2(config: Any) -> System[Any]:
    from aiga.systems.learning.rl2 import RL2

    return RL2(config)


def _rl2_told(config: Mapping[str, Any], metrics: Sequence[Any]) -> str:
    from aiga.learnt import memory

    return memory(config, metrics)


def _walker_policy(config: Any, output: str = "tanh") -> Policy:
    return Policy((24, 40, 40, 4), "tanh", output)


def _walker_course(course: Any) -> Course:
    from aiga.runs.codec import decode
    from aiga.worlds.walker.course import Course

    return decode(Course, course).check()


def _walker_ground(course: Any) -> np.ndarray:
    import numpy as np

    ground = _walker_course(course)
    return np.stack([ground.left, ground.right])


def _walker_words(course: Any) -> str:
    from aiga.worlds.walker.words import in_words

    return in_words(_walker_course(course))


def _walks(
    config: Mapping[str, Any],
    grounds: Sequence[Course],
    weights: Sequence[Any],
    seeds: Sequence[int],
    output: str,
) -> list[Walk]:
    """As many steps as the run's episodes have, so that what is seen is what was scored."""
    import numpy as np

    from aiga.brains.layers import count, perceptrons
    from aiga.worlds.walker.episode import walks

    policy = _walker_policy(config, output)
    numbers = count(policy.sizes)
    for flat in weights:
        if np.shape(flat) != (numbers,):
            raise ValueError(f"weights: {numbers} numbers, not {np.shape(flat)}")
    networks = np.reshape(weights, (-1, numbers))
    act = perceptrons(networks, policy.sizes, policy.activation, policy.output)
    return walks(grounds, act, seeds, config.get("max_steps", 2000))


def _walks_of(
    config: Mapping[str, Any], pairs: Sequence[tuple[Any, Any, int]], output: str
) -> list[tuple[Course, Walk]]:
    grounds = [_walker_course(course) for course, _, _ in pairs]
    played = _walks(config, grounds, [w for _, w, _ in pairs], [seed for _, _, seed in pairs], output)
    return list(zip(grounds, played, strict=True))


def _walker_film(
    config: Mapping[str, Any], pairs: Sequence[tuple[Any, Any, int]], output: str = "tanh"
) -> list[Film]:
    from aiga.worlds.walker import body

    return [
        Film("walker", 1 / body.DT, body.posture(walk.poses), walk.total, walk.finished)
        for _, walk in _walks_of(config, pairs, output)
    ]


def _walker_behaviour(
    config: Mapping[str, Any], pairs: Sequence[tuple[Any, Any, int]], output: str = "tanh"
) -> tuple[Sequence[str], np.ndarray]:
    import numpy as np

    from aiga.worlds.walker.gait import Gait, gait

    return Gait._fields, np.array([gait(*each) for each in _walks_of(config, pairs, output)]).reshape(-1, 4)


def _walker_replay(
    config: Mapping[str, Any],
    course: Any,
    weights: Any,
    seed: int,
    out: Path,
    lidar: bool,
    output: str = "tanh",
) -> str:
    from aiga.worlds.walker.draw import animate, video

    ground = _walker_course(course)
    (played,) = _walks(config, [ground], [weights], [seed], output)
    write = video if out.suffix.lower() == ".mp4" else animate
    write(ground, played.poses, out, lidar=played.observations[:, 14:] if lidar else None)
    end = "reaches the end" if played.finished else f"gets to {played.poses[-1, 0, 0]:.1f} m"
    return f"{end} in {len(played.poses) - 1} steps, return {played.total:.1f}"


def _automl_zero_told(config: Mapping[str, Any], events: Sequence[Any]) -> str:
    from aiga.found_programs import told

    return told(config, events)


def _automl_zero_source(config: Mapping[str, Any], events: Sequence[Any], which: str) -> str:
    from aiga.found_programs import source

    return source(config, events, which)


def _automl_zero_study(
    config: Mapping[str, Any], events: Sequence[Any], which: int
) -> Mapping[str, Any] | None:
    from aiga.found_programs import study

    return study(config, events, which)


def _automl_zero_best(events: Sequence[Any]) -> int | None:
    from aiga.found_programs import best

    return best(events)


def _automl_zero_shortened(events: Sequence[Any], most: int) -> Sequence[Any]:
    from aiga.found_programs import shortened

    return shortened(events, most)


SYSTEMS: dict[str, Entry] = {
    "poet": Entry(
        "walkers and courses that invent each other (Wang et al. 2019)",
        config=_poet_config,
        build=_poet,
        evaluator=_poet_evaluator,
        preset="laptop",
        policy=_walker_policy,
        replay=_walker_replay,
        shown=Shown("walker", _walker_film, _walker_ground, _walker_words, _walker_behaviour),
        panels=("today", "tree", "menagerie", "stage", "curves", "transfers", "workshop", "share"),
        adopts=lambda config: config.get("courses", "genes") == "genes",
    ),
    "ppo": Entry(
        "a walker taught by PPO on one course (Schulman et al. 2017)",
        config=_ppo_config,
        build=_ppo,
        policy=partial(_walker_policy, output="identity"),
        replay=partial(_walker_replay, output="identity"),
        shown=Shown(
            "walker",
            partial(_walker_film, output="identity"),
            _walker_ground,
            _walker_words,
            partial(_walker_behaviour, output="identity"),
        ),
        panels=("menagerie", "stage", "curves", "workshop", "share"),
    ),
    "automl-zero": Entry(
        "programs that learn, evolved from bare mathematics (Real et al. 2020)",
        config=_automl_zero_config,
        build=_automl_zero,
        spreads=True,
        preset="digits",
        panels=("programs", "curves", "share"),
        told=_automl_zero_told,
        source=_automl_zero_source,
        study=Study(("improvement", "tasks"), _automl_zero_study, _automl_zero_best, _automl_zero_shortened),
    ),
    "maml": Entry(
        "first weights from which few examples are enough, of sinusoids or images (Finn et al. 2017)",
        config=_maml_config,
        build=_maml,
        preset="sine",
        panels=("adaptation", "curves", "share"),
        told=_maml_told,
        told_of="metrics",
    ),
    "es-maml": Entry(
        "walkers that adapt to slopes, grass and loads in a few episodes (Song et al. 2020)",
        config=_es_maml_config,
        build=_es_maml,
        evaluator=_es_maml_evaluator,
        panels=("grounds", "curves", "share"),
        told=_walks_told,
        told_of="metrics",
    ),
    "maml-rl": Entry(
        "walkers that adapt to slopes, grass and loads by policy gradients (Finn et al. 2017)",
        config=_maml_rl_config,
        build=_maml_rl,
        panels=("grounds", "curves", "share"),
        told=_walks_told,
        told_of="metrics",
    ),
    "anml": Entry(
        "a gated network that learns class after class, and OML (Beaulieu et al. 2020, Javed and White 2019)",
        config=_anml_config,
        build=_anml,
        preset="lite",
        panels=("sequence", "curves", "share"),
        told=_anml_told,
    ),
    "rl2": Entry(
        "a memory that is taught to learn new tasks: bandits, two steps, Harlow, MDPs (Duan et al. 2016)",
        config=_rl2_config,
        build=_rl2,
        preset="arms",
        panels=("trial", "curves", "share"),
        told=_rl2_told,
        told_of="metrics",
    ),
}


def _bench_walker(engine: str = "native") -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.walker import bench, bench_jax

    return bench_jax() if engine == "jax" else bench()


def _bench_poet() -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.poet import bench

    return bench()


def _bench_cluster() -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.cluster import bench

    return bench()


def _bench_ppo() -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.ppo import bench

    return bench()


def _bench_page() -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.page import bench
    from aiga.runs.errors import RunError

    try:
        return bench()
    except (ImportError, FileNotFoundError) as error:
        raise RunError(f"NAME: page needs Playwright and Chromium: {error}") from None


def _bench_programs() -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.programs import bench

    return bench()


def _bench_glyphs() -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.glyphs import bench

    return bench()


def _bench_meta() -> tuple[dict[str, Any], str]:
    from aiga.benchmarks.meta import bench

    return bench()


# What `aiga bench` can measure: each gives its result as plain data and as text; some take an `engine`.
BENCHMARKS: dict[str, Callable[..., tuple[dict[str, Any], str]]] = {
    "walker": _bench_walker,
    "poet": _bench_poet,
    "cluster": _bench_cluster,
    "ppo": _bench_ppo,
    "page": _bench_page,
    "programs": _bench_programs,
    "glyphs": _bench_glyphs,
    "meta": _bench_meta,
}
