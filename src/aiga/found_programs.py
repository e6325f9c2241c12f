"""What a run of AutoML-Zero found, from its stored events: as text, as a module, and as data for the page.

None of this imports JAX, as the page's server asks for it. `config` is a run's configuration and `events` its
events, both as they are stored; programs stand in events of the kind `improvement`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from aiga.brains.programs import kernel, story
from aiga.brains.programs.evolution import Improvement
from aiga.brains.programs.ideas import Idea, ideas
from aiga.brains.programs.ops import Program, Sizes, listing
from aiga.brains.programs.simplify import simplified
from aiga.brains.programs.source import numpy_source
from aiga.worlds import supervised

STEPS = 10  # of a lineage that are told
MOST_ADDITIONS = 1.5e10  # of two numbers, to say what instructions are worth: two seconds or so
MOST_INSTRUCTIONS = 250  # of a program that is searched for ideas, which runs it in NumPy: seconds


def told(config: Mapping[str, Any], events: Sequence[Any]) -> str:
    """The best program on tasks held out: its listing, ideas and ancestors, what instructions are worth."""
    found = _improvements(events)
    last, sizes = _named(found, "best"), Sizes(**config["sizes"])
    if last is None:
        return "nothing found yet"
    bred = _program(last)
    short = simplified(bred, sizes, draws=False)
    seen = _looked_into(config, events, bred, sizes)
    lines = [
        f"program {last['id']}: fitness {last['fitness']:.5f} on the tasks it was bred on, "
        f"{last['selected']:.5f} on tasks held out; without what has no effect:",
        "",
        listing(short, sizes.features).rstrip(),
        "",
    ]
    if seen.ideas:
        lines += ["Ideas in it, its addresses as they were bred:", ""]
        lines += [f"{idea.name} ({idea.where}): {idea.text}" for idea in seen.ideas]
        lines += [""]
    steps = _line(found, last["id"], sizes)
    if steps or seen.worth:
        lines += ["How it came about, its addresses as they were bred:", ""]
        lines += [story.told(steps, seen.worth).rstrip()]
    if seen.worth:
        lines += [f"Judged on {seen.tasks} tasks held out."]
    if seen.problem:
        lines += [f"Not all can be said: {seen.problem}"]
    return "\n".join(lines)


def best(events: Sequence[Any]) -> int | None:
    """The number of the best program on tasks held out."""
    found = _named(_improvements(events), "best")
    return None if found is None else found["id"]


def shortened(events: Sequence[Any], most: int) -> list[Any]:
    """Without improvements that are neither among the latest `most` nor ancestors of the best, nor it."""
    found, which = _improvements(events), best(events)
    kept = {each["id"] for each in found[max(0, len(found) - most) :]}
    kept |= {which, *_ancestors(found, which)}
    return [each for each in events if each["kind"] != "improvement" or each["data"]["id"] in kept]


def program(config: Mapping[str, Any], events: Sequence[Any], which: str = "best") -> tuple[Program, Sizes]:
    """An improvement without what has no effect, and the sizes of its memory.

    Its random numbers are those that it drew in the run. ValueError where `which`, best or a number, names
    none.
    """
    sizes = Sizes(**config["sizes"])
    return simplified(_program(_wanted(events, which)), sizes), sizes


def source(config: Mapping[str, Any], events: Sequence[Any], which: str) -> str:
    """An improvement as a NumPy module's text. ValueError where `which`, best or a number, names none."""
    wanted, sizes = _wanted(events, which), Sizes(**config["sizes"])
    return numpy_source(simplified(_program(wanted), sizes), sizes, f"Program {wanted['id']}.")


def study(config: Mapping[str, Any], events: Sequence[Any], which: int) -> dict[str, Any] | None:
    """An improvement by its number, as plain data: `ideas` that are proven in it, what each of its
    `instructions` is worth on the `tasks` held out, and its `line` of ancestors, the first one first.

    Where the tasks cannot be made again, or it would take too long, `instructions` or `ideas` are empty and
    `problem` says why. None where there is no such improvement.
    """
    found = _improvements(events)
    wanted, sizes = _named(found, str(which)), Sizes(**config["sizes"])
    if wanted is None:
        return None
    seen = _looked_into(config, events, _program(wanted), sizes)
    return {
        "id": which,
        "tasks": seen.tasks,
        "ideas": [{"name": each.name, "where": each.where, "text": each.text} for each in seen.ideas],
        "instructions": [
            {"part": each.part, "text": each.text, "live": each.live, "loss": _finite(each.loss)}
            for each in seen.worth
        ],
        "line": [
            {
                "id": step.improvement.id,
                "fitness": _finite(step.improvement.fitness),
                "gain": _finite(step.gain),
                "child": step.direct,
                "changes": [
                    {"part": c.part, "kind": c.kind, "old": c.old, "new": c.new}
                    for c in step.changes
                    if c.live
                ],
            }
            for step in _line(found, which, sizes)
        ],
        "problem": seen.problem,
    }


def _wanted(events: Sequence[Any], which: str) -> dict[str, Any]:
    wanted = _named(_improvements(events), which)
    if wanted is None:
        raise ValueError(f"AGENT: best, or the number of an improvement, not '{which}'")
    return wanted


def _named(found: Sequence[dict[str, Any]], which: str) -> dict[str, Any] | None:
    """The last of these improvements that is `best` on tasks held out, or has this number."""
    for each in reversed(found):
        if each["chosen"] if which == "best" else str(each["id"]) == which:
            return each
    return None


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None


def _improvements(events: Sequence[Any]) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["kind"] == "improvement"]


def _program(improvement: Mapping[str, Any]) -> Program:
    stored = improvement["program"]
    code, data = np.array(stored["code"], np.uint8), np.array(stored["data"], np.float64)
    return Program(code.reshape(-1, 4), data.reshape(-1, 3), tuple(stored["lengths"]))


def _ancestors(found: Sequence[Mapping[str, Any]], which: int | None) -> list[int]:
    """Itself and its ancestors, the first one last; none where events do not name them."""
    before = {each["id"]: each["ancestor"] for each in found if "ancestor" in each}
    chain: dict[int, None] = {}
    while which is not None and which in before and which not in chain:
        chain[which] = None
        which = before[which]
    return list(chain)


def _line(found: Sequence[Mapping[str, Any]], which: int, sizes: Sizes) -> list[story.Step]:
    """Nothing where events do not name ancestors, as those of runs of earlier versions."""
    known = {each["id"]: each for each in found}
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
        for each in (known[number] for number in reversed(_ancestors(found, which)))
    ]
    return story.lineage(improvements, sizes, most=STEPS)


class _Seen(NamedTuple):
    """What is in a program."""

    ideas: list[Idea]
    worth: list[story.Ablation]
    tasks: int  # that it was judged on
    problem: str | None  # why something is missing


def _looked_into(config: Mapping[str, Any], events: Sequence[Any], bred: Program, sizes: Sizes) -> _Seen:
    told = [event["data"] for event in events if event["kind"] == "tasks"]
    try:
        images = _images(config, told)
    except ValueError as error:
        return _Seen([], [], 0, str(error))
    score, proven, problems = supervised.score(images), [], []
    worth, count = [], 0
    try:
        worth, count = _worth(config, told, bred, sizes, images)
    except ValueError as error:
        problems.append(str(error))
    length = len(bred.code)
    if length <= MOST_INSTRUCTIONS:
        proven = ideas(bred, sizes, accuracy=score == "accuracy")
    else:
        problems.append(f"to look for ideas in {length} instructions would take too long")
    return _Seen(proven, worth, count, "; ".join(problems) or None)


def _images(config: Mapping[str, Any], told: Sequence[Mapping[str, Any]]) -> supervised.Images | None:
    """ValueError where the task's folder is no longer there, or has other images than the run had."""
    images, known = supervised.images(config["task"]), [each["data"] for each in told if each.get("data")]
    if known and (images is None or supervised.digest(images) != known[0]):
        raise ValueError(f"task: {config['task']}: not the images that this run began with")
    return images


def _worth(
    config: Mapping[str, Any],
    told: Sequence[Mapping[str, Any]],
    found: Program,
    sizes: Sizes,
    images: supervised.Images | None,
) -> tuple[list[story.Ablation], int]:
    """What instructions are worth on the tasks to select by, or the first of them where all would take long,
    and how many these are. ValueError where they cannot be made again, or one of them takes too long."""
    if not told:
        raise ValueError("the run does not say which tasks it had")
    seed, about = int(told[0]["seed"]), kernel.compiled([found], sizes)
    # The kernel runs the program whole, then once without each of its instructions that have an effect.
    repeats = config.get("repeats", 1)
    steps = config["epochs"] * (repeats * config["train"] + config["valid"])
    each = (int(about.live.sum()) + 1) * float(about.cost[0] @ [1, steps])
    if each > MOST_ADDITIONS:
        raise ValueError("to judge the program without each of its instructions would take too long")
    count = int(min(config["select_tasks"], MOST_ADDITIONS // max(each, 1)))
    task = config["task"]
    shape = supervised.Shape(sizes.features, config["train"], config["valid"], repeats)
    made = supervised.tasks(task, "select", count, shape, seed, images)
    score = supervised.score(images)
    rules = kernel.Rules(score, config["epochs"], key=seed, precision=config["precision"])
    worth = story.ablations(found, sizes, kernel.Tasks(*made), rules, combine=config["combine"])
    return worth, count
