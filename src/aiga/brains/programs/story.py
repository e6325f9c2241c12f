"""How a program came about, and what each of its instructions is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from aiga.brains.programs import kernel
from aiga.brains.programs.evolution import RULES, Improvement, combined
from aiga.brains.programs.kernel import Rules, Tasks
from aiga.brains.programs.ops import OPERATIONS, PARTS, Program, Sizes, instruction


class Ablation(NamedTuple):
    """An instruction, and what becomes of the program without it."""

    part: str
    place: int  # in its component function
    text: str
    live: bool  # whether a prediction depends on it
    fitness: float  # without it: the median over tasks, or the mean
    loss: float  # what the program has more


def ablations(
    program: Program,
    sizes: Sizes,
    tasks: Tasks,
    rules: Rules = RULES,
    *,
    combine: str = "median",
    threads: int = 1,
) -> list[Ablation]:
    """What every instruction buys, a no-op in its place, all of them judged in one call of the kernel; one
    without effect, which is not judged, buys nothing.

    What an instruction loses alone says nothing of two that stand in for each other. Raises ValueError naming
    what does not fit.
    """
    program.check(sizes)
    live, without = kernel.compiled([program], sizes).live[0][: len(program.code)], []
    for row in np.flatnonzero(live):
        code = program.code.copy()
        code[row] = 0
        without.append(replace(program, code=code))
    scores = kernel.evaluate([program, *without], sizes, tasks, rules, threads=threads)
    whole, *judged = combined(scores, combine)
    each = np.full(len(program.code), whole)
    each[live] = judged
    return [
        Ablation(
            part,
            place,
            instruction(program, row, sizes.features),
            bool(live[row]),
            float(each[row]),
            float(whole - each[row]),
        )
        for part in PARTS
        for place, row in enumerate(program.part(part))
    ]


class Change(NamedTuple):
    """What differs in one instruction. Rows count through the whole program; -1 where there is none."""

    part: str
    kind: str  # "inserted", "removed" or "changed"
    before: int
    after: int
    old: str  # as it was written
    new: str
    what: tuple[str, ...]  # that changed: "operation", "input 1", "input 2", "output", or names of data
    live: bool  # whether a prediction depends on it, before or after


def changes(before: Program, after: Program, sizes: Sizes) -> list[Change]:
    """The fewest changes of instructions that make `after` of `before`, component by component, in order.

    Another operation counts as one removed and one inserted, unless inputs and outputs remain as they were.
    Raises ValueError, naming the instruction, for a program that does not fit `sizes`.
    """
    found, features = [], sizes.features
    live_before, live_after = ([bool(n) for n in row] for row in kernel.compiled([before, after], sizes).live)
    for part in PARTS:
        old, new = list(before.part(part)), list(after.part(part))
        # cost[i, j]: of making the first j of `new` from the first i of `old` (Wagner and Fischer 1974).
        cost = np.zeros((len(old) + 1, len(new) + 1))
        cost[:, 0], cost[0] = np.arange(len(old) + 1), np.arange(len(new) + 1)
        exchange = np.array([[_exchange(before, a, after, b) for b in new] for a in old])
        for i in range(1, len(old) + 1):
            for j in range(1, len(new) + 1):
                cost[i, j] = min(
                    cost[i - 1, j - 1] + exchange[i - 1, j - 1], cost[i - 1, j] + 1, cost[i, j - 1] + 1
                )
        i, j, backwards = len(old), len(new), []
        while i or j:
            if i and j and cost[i, j] == cost[i - 1, j - 1] + exchange[i - 1, j - 1]:
                i, j = i - 1, j - 1
                if what := _what(before, old[i], after, new[j]):
                    pair = instruction(before, old[i], features), instruction(after, new[j], features)
                    live = live_before[old[i]] or live_after[new[j]]
                    backwards.append(Change(part, "changed", old[i], new[j], *pair, what, live))
            elif j and cost[i, j] == cost[i, j - 1] + 1:
                j -= 1
                text = instruction(after, new[j], features)
                backwards.append(Change(part, "inserted", -1, new[j], "", text, (), live_after[new[j]]))
            else:
                i -= 1
                text = instruction(before, old[i], features)
                backwards.append(Change(part, "removed", old[i], -1, text, "", (), live_before[old[i]]))
        found += backwards[::-1]
    return found


def _what(before: Program, a: int, after: Program, b: int) -> tuple[str, ...]:
    """What two instructions differ in, of that which they use."""
    one, other = OPERATIONS[before.code[a, 0]], OPERATIONS[after.code[b, 0]]
    what = ["operation"] if one is not other else []
    for k, name in enumerate(("input 1", "input 2")):
        kinds = one.ins[k : k + 1], other.ins[k : k + 1]
        if kinds[0] != kinds[1] or (kinds[0] and before.code[a, k + 1] != after.code[b, k + 1]):
            what.append(name)
    if one.out != other.out or (one.out and before.code[a, 3] != after.code[b, 3]):
        what.append("output")
    if one.data != other.data:
        what.append("data")
    else:
        same = [before.data[a, k].tobytes() == after.data[b, k].tobytes() for k in range(len(one.data))]
        what += [name for name, alike in zip(one.data, same, strict=True) if not alike]
    return tuple(what)


def _exchange(before: Program, a: int, after: Program, b: int) -> float:
    what = _what(before, a, after, b)
    if "operation" in what and len(what) > 1:
        return 3.0  # more than to remove and to insert
    return min(0.5 * len(what), 1.9) + 0.25 * ("output" in what)


@dataclass(frozen=True)
class Step:
    """An improvement on the way to the best."""

    improvement: Improvement
    changes: list[Change]  # from the step before it; of the first, all instructions are new
    gain: float  # of fitness, over the step before it
    direct: bool  # a child of the step before it, not only a descendant


def lineage(improvements: Sequence[Improvement], sizes: Sizes, most: int | None = None) -> list[Step]:
    """The ancestors of the last of `improvements`, the first one first, and itself: every step descends from
    the one before it.

    Steps that gained nothing and lost become part of the next one, and, while there are more than `most`, so
    do those that gained least; the first and the last are always there.
    """
    if not improvements:
        return []
    known, chain = {each.id: each for each in improvements}, [improvements[-1]]
    while (before := known.pop(chain[-1].ancestor, None)) is not None:
        chain.append(before)
    kept = [chain[-1]]
    for each in chain[-2::-1]:
        if each.fitness >= kept[-1].fitness or each is chain[0]:
            kept.append(each)
    while most is not None and len(kept) > max(most, 2):
        gains = [kept[k].fitness - kept[k - 1].fitness for k in range(1, len(kept) - 1)]
        del kept[1 + int(np.argmin(gains))]
    direct = [False, *(each.parent == before.id for before, each in pairwise(kept))]
    steps, nothing, fitness = [], Program.of(), 0.0
    for each, child in zip(kept, direct, strict=True):
        made = changes(steps[-1].improvement.program if steps else nothing, each.program, sizes)
        steps.append(Step(each, made, each.fitness - fitness, child))
        fitness = each.fitness
    return steps


def told(steps: Sequence[Step], worth: Sequence[Ablation] = (), most: int = 12) -> str:
    """The lineage as text, and after it what each instruction of the best is worth.

    Of a step's changes the first `most` on which predictions depend are told.
    """
    lines = []
    for number, step in enumerate(steps):
        each = step.improvement
        if not number:
            lines.append(f"Individual {each.id} came first, with fitness {each.fitness:.4f}:")
        else:
            before = steps[number - 1].improvement.id
            how = f"a child of {before}" if step.direct else f"a descendant of {before}"
            lines.append(f"Individual {each.id}, {how}, reached {each.fitness:.4f} ({step.gain:+.4f}):")
        seen = [change for change in step.changes if change.live]
        lines += [f"  {_sentence(change)}" for change in seen[:most]]
        more = [(len(seen[most:]), "more"), (len(step.changes) - len(seen), "in dead code")]
        if any(count for count, _ in more):
            counted = " and ".join(f"{count} {what}" for count, what in more if count)
            lines.append(f"  {'and ' if seen else 'only '}{counted}")
    live = [ablation for ablation in worth if ablation.live]
    if live:
        lines += [""] if lines else []
        lines.append("What fitness loses without each instruction:")
        width = max(len(ablation.text) for ablation in live)
        for part in PARTS:
            of_part = [ablation for ablation in live if ablation.part == part]
            lines += [f"  {part}"] if of_part else []
            lines += [f"    {ablation.text:<{width}}  {_loss(ablation.loss)}" for ablation in of_part]
    if len(live) < len(worth):
        lines.append(f"On {len(worth) - len(live)} more no prediction depends.")
    return "\n".join(lines) + "\n" if lines else ""


def _sentence(change: Change) -> str:
    if change.kind == "changed":
        return f"{change.part}: {change.old}  became  {change.new}  ({', '.join(change.what)})"
    return f"{change.part}: {change.new or change.old}  {'came' if change.kind == 'inserted' else 'went'}"


def _loss(loss: float) -> str:
    return "nothing" if abs(loss) < 5e-5 else f"{loss:.4f}" if loss > 0 else f"gains {-loss:.4f}"
