"""What a run of AutoML-Zero found, from its stored events: as text, as a module, and as data for the page.

None of this imports JAX, as the page's server asks for it. `config` is a run's configuration and `events` its
events, both as they are stored; programs stand in events of the kind `improvement`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aiga.brains.programs import kernel, story
from aiga.brains.programs.evolution import Improvement
from aiga.brains.programs.ideas import ideas
from aiga.brains.programs.ops import Program, Sizes, listing
from aiga.brains.programs.simplify import simplified
from aiga.brains.programs.source import numpy_source
from aiga.worlds import supervised

STEPS = 10  # of a lineage that are told
MOST_EXAMPLES = 4_000_000  # learnt from to say what instructions are worth: two seconds or so


def told(config: Mapping[str, Any], events: Sequence[Any]) -> str:
    """The best program on tasks held out: its listing, ideas and ancestors, what instructions are worth."""
    found = _improvements(events)
    chosen = [each for each in found if each["chosen"]]
    if not chosen:
        return "nothing found yet"
    best, sizes = chosen[-1], Sizes(**config["sizes"])
    bred = _program(best)
    short = simplified(bred, sizes, draws=False)
    lines = [
        f"program {best['id']}: fitness {best['fitness']:.5f} on the tasks it was bred on, "
        f"{best['selected']:.5f} on tasks held out; without what has no effect:",
        "",
        listing(short, sizes.features).rstrip(),
        "",
    ]
    try:
        proven = ideas(short, sizes, accuracy=_score(config) == "accuracy")
        lines += [f"{idea.name} ({idea.where}): {idea.text}" for idea in proven]
    except ValueError as error:  # a folder that is no longer there takes no more with it
        lines += [f"Which ideas are in it depends on its task; {error}"]
    steps = _line(found, best["id"], sizes)
    try:
        worth, count = _worth(config, events, bred, sizes)
    except ValueError as error:
        worth, last = [], f"What each instruction is worth cannot be said: {error}"
    else:
        last = f"Judged on {count} tasks held out."
    if steps or worth:
        lines += ["", "How it came about, its addresses as they were bred:", ""]
        lines += [story.told(steps, worth).rstrip()]
    return "\n".join([*lines, last])


def program(config: Mapping[str, Any], events: Sequence[Any], which: str = "best") -> tuple[Program, Sizes]:
    """An improvement without what has no effect, and the sizes of its memory.

    Its random numbers are those that it drew in the run. ValueError where `which`, best or a number, names
    none.
    """
    wanted, sizes = _wanted(events, which), Sizes(**config["sizes"])
    return simplified(_program(wanted), sizes), sizes


def source(config: Mapping[str, Any], events: Sequence[Any], which: str) -> str:
    """An improvement as a NumPy module's text. ValueError where `which`, best or a number, names none."""
    found, sizes = program(config, events, which)
    return numpy_source(found, sizes, f"Program {_wanted(events, which)['id']}.")


def study(config: Mapping[str, Any], events: Sequence[Any], which: int) -> dict[str, Any] | None:
    """An improvement by its number, as plain data: `ideas` that are proven in it, what each of its
    `instructions` is worth on the `tasks` held out, and its `line` of ancestors, the first one first.

    Where the tasks cannot be made again `instructions` is empty and `problem` says why. None where there is
    no such improvement.
    """
    found = _improvements(events)
    wanted = [each for each in found if each["id"] == which]
    if not wanted:
        return None
    sizes, bred, problem = Sizes(**config["sizes"]), _program(wanted[-1]), None
    try:
        worth, count = _worth(config, events, bred, sizes)
    except ValueError as error:
        worth, count, problem = [], 0, str(error)
    try:
        proven = ideas(bred, sizes, accuracy=_score(config) == "accuracy")
    except ValueError as error:  # a folder that is no longer there
        proven, problem = [], str(error)
    return {
        "id": which,
        "tasks": count,
        "ideas": [{"name": each.name, "where": each.where, "text": each.text} for each in proven],
        "instructions": [
            {"part": each.part, "text": each.text, "live": each.live, "loss": _finite(each.loss)}
            for each in worth
        ],
        "line": [
            {
                "id": step.improvement.id,
                "fitness": _finite(step.improvement.fitness),
                "gain": _finite(step.gain),
                "child": step.direct,
                "changes": [
                    {"part": c.part, "kind": c.kind, "old": c.old, "new": c.new, "what": list(c.what)}
                    for c in step.changes
                    if c.live
                ],
            }
            for step in _line(found, which, sizes)
        ],
        "problem": problem,
    }


def _wanted(events: Sequence[Any], which: str) -> dict[str, Any]:
    found = _improvements(events)
    chosen = [each for each in found if each["chosen"]]
    wanted = chosen[-1:] if which == "best" else [each for each in found if str(each["id"]) == which][-1:]
    if not wanted:
        raise ValueError(f"AGENT: best, or the number of an improvement, not '{which}'")
    return wanted[0]


def _score(config: Mapping[str, Any]) -> str:
    """ValueError where the task's folder is no longer there."""
    return supervised.score(supervised.images(config["task"]))


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None


def _improvements(events: Sequence[Any]) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["kind"] == "improvement"]


def _program(improvement: Mapping[str, Any]) -> Program:
    stored = improvement["program"]
    code, data = np.array(stored["code"], np.uint8), np.array(stored["data"], np.float64)
    return Program(code.reshape(-1, 4), data.reshape(-1, 3), tuple(stored["lengths"]))


def _line(found: Sequence[Mapping[str, Any]], which: int, sizes: Sizes) -> list[story.Step]:
    """Nothing where events do not name ancestors, as those of runs of earlier versions."""
    known = {each["id"]: each for each in found if "ancestor" in each}
    chain, at = [], known.get(which)
    while at is not None and at["id"] not in chain:
        chain.append(at["id"])
        at = known.get(at["ancestor"])
    improvements = [
        Improvement(
            each["id"],
            -1 if each["parent"] is None else each["parent"],
            -1 if each["ancestor"] is None else each["ancestor"],
            each["fitness"],
            each["parent_fitness"],
            _program(each),
            None,
        )
        for each in (known[number] for number in reversed(chain))
    ]
    return story.lineage(improvements, sizes, most=STEPS)


def _worth(
    config: Mapping[str, Any], events: Sequence[Any], found: Program, sizes: Sizes
) -> tuple[list[story.Ablation], int]:
    """What instructions are worth on the tasks to select by, or the first of them where all would take long,
    and how many these are. ValueError where they cannot be made again."""
    seeds = [int(event["data"]["seed"]) for event in events if event["kind"] == "tasks"]
    if not seeds:
        raise ValueError("the run does not say which tasks it had")
    task, shape = config["task"], supervised.Shape(sizes.features, config["train"], config["valid"])
    each = (len(found.code) + 1) * config["train"] * config["epochs"]
    count = min(config["select_tasks"], max(1, MOST_EXAMPLES // each))
    images = supervised.images(task)
    made = supervised.tasks(task, "select", count, shape, seeds[0], images)
    score = supervised.score(images)
    rules = kernel.Rules(score, config["epochs"], key=seeds[0], precision=config["precision"])
    worth = story.ablations(found, sizes, kernel.Tasks(*made), rules, combine=config["combine"])
    return worth, count
