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
    program = simplified(bred, sizes, draws=False)
    lines = [
        f"program {best['id']}: fitness {best['fitness']:.5f} on the tasks it was bred on, "
        f"{best['selected']:.5f} on tasks held out; without what has no effect:",
        "",
        listing(program, sizes.features).rstrip(),
        "",
    ]
    proven = ideas(program, sizes, accuracy=supervised.score(config["task"]) == "accuracy")
    lines += [f"{idea.name} ({idea.where}): {idea.text}" for idea in proven]
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


def source(config: Mapping[str, Any], events: Sequence[Any], which: str) -> str:
    """An improvement as a NumPy module's text. ValueError where `which`, best or a number, names none."""
    found = _improvements(events)
    chosen = [each for each in found if each["chosen"]]
    wanted = chosen[-1:] if which == "best" else [each for each in found if str(each["id"]) == which][-1:]
    if not wanted:
        raise ValueError(f"AGENT: best, or the number of an improvement, not '{which}'")
    sizes = Sizes(**config["sizes"])
    program = simplified(_program(wanted[0]), sizes)
    return numpy_source(program, sizes, f"Program {wanted[0]['id']}.")


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
    sizes, program, problem = Sizes(**config["sizes"]), _program(wanted[-1]), None
    try:
        worth, count = _worth(config, events, program, sizes)
    except ValueError as error:
        worth, count, problem = [], 0, str(error)
    try:
        proven = ideas(program, sizes, accuracy=supervised.score(config["task"]) == "accuracy")
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
    config: Mapping[str, Any], events: Sequence[Any], program: Program, sizes: Sizes
) -> tuple[list[story.Ablation], int]:
    """What instructions are worth on the tasks to select by, or the first of them where all would take long,
    and how many these are. ValueError where they cannot be made again."""
    seeds = [int(event["data"]["seed"]) for event in events if event["kind"] == "tasks"]
    if not seeds:
        raise ValueError("the run does not say which tasks it had")
    task, shape = config["task"], supervised.Shape(sizes.features, config["train"], config["valid"])
    each = (len(program.code) + 1) * config["train"] * config["epochs"]
    count = min(config["select_tasks"], max(1, MOST_EXAMPLES // each))
    made = supervised.tasks(task, "select", count, shape, seeds[0])
    rules = kernel.Rules(
        supervised.score(task), config["epochs"], key=seeds[0], precision=config["precision"]
    )
    worth = story.ablations(program, sizes, kernel.Tasks(*made), rules, combine=config["combine"])
    return worth, count
