"""Known ideas in a program, each proven by measuring the running program, not by how it is written.

The interpreter runs the program on made-up tasks, and copies of it are probed in the states it comes to: what
does the prediction change with, and what does learning change? So `gradient step` means that memory moved
along the measured derivative of the prediction, as far as the error was large, in every state that was looked
at; an update that looks like one and has the wrong sign is none. Evolved programs often make the step of an
example when the next one comes; that is looked for with a next example of zeros. An idea that is not found
may be there all the same: what diverges on these tasks, or never learns, cannot be measured.

Real et al. 2020, arXiv 2003.03384, sections 4.2 and 4.3, have the ideas.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from aiga.brains.programs import kernel
from aiga.brains.programs.interpreter import PARTS, Machine, fold
from aiga.brains.programs.ops import OPERATIONS, Program, Sizes, instruction

NAMES = (
    "gradient step",
    "normalised gradient",
    "learning-rate decay",
    "ReLU",
    "noise injection",
    "bilinear term",
    "weight averaging",
)
_STEPS = (1, 4, 16, 64, 256)  # after which the program is probed
_ERRORS = (0.25, 1.0)
_COORDINATES = 24  # of a matrix, at most, along which derivatives are taken
_CHANCES = 8  # that means are taken over

Address = tuple[str, int]


class Idea(NamedTuple):
    """One of `NAMES`, and where it was found."""

    name: str
    where: str  # an address, or an instruction as it is written
    text: str  # what was measured
    numbers: dict[str, float]


def ideas(program: Program, sizes: Sizes, *, accuracy: bool = False, key: int = 0) -> list[Idea]:
    """The ideas that measurements prove, in the order of `NAMES`.

    With `accuracy` the prediction's sigmoid is what learning sees, as in tasks of two classes. `key` draws
    the tasks. Raises ValueError, naming the instruction, for a program that does not fit `sizes`.
    """
    lab = _Lab.of(program.check(sizes), sizes, accuracy, key)
    if len(lab.states) < 4:
        return []
    with np.errstate(all="ignore"):
        steps = lab.gradient_steps()
        found = [idea for step in steps for idea in step.ideas]
        found += lab.decays(steps)
        found += lab.rectifiers() + lab.noise() + lab.bilinear() + lab.averages()
    return sorted(found, key=lambda idea: NAMES.index(idea.name))


def mean_rates(program: Program, sizes: Sizes, *, accuracy: bool = False, key: int = 0) -> list[Idea]:
    """Gradient steps whose rate follows the mean of a vector or a matrix, as in the paper's section 4.3.

    All its elements are moved alike, then as far with alternating signs: the first must change the rate in
    most states, the second must not. Arguments and errors are those of `ideas`.
    """
    lab = _Lab.of(program.check(sizes), sizes, accuracy, key)
    with np.errstate(all="ignore"):
        return lab.mean_rates(lab.gradient_steps()) if len(lab.states) >= 4 else []


class _Step(NamedTuple):
    """An address that moves along the derivative of the prediction, at once or a step late."""

    address: Address
    late: bool
    ideas: list[Idea]


@dataclass
class _Lab:
    """A program in the states that two streams of examples have brought it to."""

    program: Program
    sizes: Sizes
    accuracy: bool
    random: np.random.Generator
    live: np.ndarray  # bool[L]
    streams: list[list[Machine]]  # after `_STEPS`; what diverged is missing
    trails: list[tuple[Machine, Machine]]  # before and after single steps
    x: np.ndarray  # f64[6, F], to probe with

    @classmethod
    def of(cls, program: Program, sizes: Sizes, accuracy: bool, key: int) -> _Lab:
        random, f = np.random.default_rng(key), sizes.features
        live = kernel.compiled([program], sizes).live[0]
        lab = cls(program, sizes, accuracy, random, live, [], [], random.normal(size=(6, f)))
        weights = random.normal(size=f)
        for stream, (spread, noise) in enumerate(((1.0, 0.1), (0.5, 2.0))):
            machine, kept = Machine(program, sizes, key, stream), []
            machine.run("setup")
            for step in range(1, _STEPS[-1] + 1):
                x = spread * random.normal(size=f)
                label = float((1 - stream) * weights @ x + noise * random.normal())
                before = _fork(machine) if step % 16 == 9 else None
                lab.predict(machine, x)
                machine.learn(float(label > 0) if accuracy else label)
                if not _finite(machine):
                    break
                if before:
                    lab.trails.append((before, _fork(machine)))
                if step in _STEPS:
                    kept.append(_fork(machine))
            lab.streams.append(kept)
        return lab

    @property
    def states(self) -> list[Machine]:
        return [machine for stream in self.streams for machine in stream]

    def predict(self, machine: Machine, x: np.ndarray) -> float:
        """The prediction, before its sigmoid; memory has what learning sees."""
        predicted = machine.predict(x)
        if self.accuracy:
            with np.errstate(all="ignore"):
                machine.memory["s"][1] = 1 / (1 + np.exp(-predicted))
        return float(predicted)

    def learned(
        self,
        state: Machine,
        x: np.ndarray,
        error: float,
        address: Address,
        late: bool = False,
        low: float = 0.0,
    ) -> np.ndarray:
        """The address after a step from `state` whose label is off by `error`, or `late`, after one more.

        Learning finds a prediction `low` too low, and the label where it was. The mean over chance.
        """
        found = []
        for machine in self.variants(state):
            self.predict(machine, x)
            predicted = machine.memory["s"][1]
            machine.memory["s"][1] = np.float64(predicted - low)
            machine.learn(float(predicted + error))
            if late:
                self.predict(machine, np.zeros_like(x))
                machine.learn(float(machine.memory["s"][1]))
            found.append(np.ravel(_at(machine, address)))
        return np.mean(found, 0)

    def moved(
        self,
        state: Machine,
        x: np.ndarray,
        error: float,
        address: Address,
        late: bool = False,
        by_prediction: bool = False,
    ) -> np.ndarray:
        """How far the address goes because of the error: half of what an error of the other sign changes."""
        forth, back = (
            self.learned(state, x, 0.0, address, late, sign * error)
            if by_prediction
            else self.learned(state, x, sign * error, address, late)
            for sign in (1, -1)
        )
        return (forth - back) / 2

    def derivative(self, state: Machine, x: np.ndarray, address: Address, places: np.ndarray) -> np.ndarray:
        """Of the prediction by elements of an address, in central differences. The mean over chance."""
        kind, number = address
        found = np.zeros(len(places))
        for variant in (variants := self.variants(state)):
            for k, place in enumerate(places):
                ends, width = [], 1e-5 * (1 + abs(np.ravel(_at(variant, address))[place]))
                for sign in (1, -1):
                    machine = _fork(variant)
                    value = np.array(_at(machine, address), np.float64)
                    value.flat[place] += sign * width
                    machine.memory[kind][number] = value if kind != "s" else np.float64(value)
                    ends.append(self.predict(machine, x))
                found[k] += (ends[0] - ends[1]) / (2 * width * len(variants))
        return found

    def variants(self, state: Machine) -> list[Machine]:
        """Copies of a state that differ in what chance will bring; one, where it brings nothing."""
        rows = [*self.program.part("predict"), *self.program.part("learn")]
        drawn = [OPERATIONS[self.program.code[row, 0]].data[:1] for row in rows if self.live[row]]
        chance = ("low",) in drawn or ("mean",) in drawn
        return [_reseeded(state, k) for k in range(_CHANCES if chance else 1)]

    def addresses(self) -> list[Address]:
        """What live instructions of learning write, but for the prediction."""
        found: set[Address] = set()
        for row in self.program.part("learn"):
            if self.live[row]:
                found.add((OPERATIONS[self.program.code[row, 0]].out, int(self.program.code[row, 3])))
        return sorted(found - {("s", 1)})

    def places(self, address: Address) -> np.ndarray:
        count = self.sizes.features ** "svm".index(address[0])
        return (
            np.arange(count)
            if count <= _COORDINATES
            else np.sort(self.random.choice(count, _COORDINATES, False))
        )

    def gradient_steps(self) -> list[_Step]:
        """Addresses that learning moves along the derivative of the prediction, against the error."""
        found = []
        for address in self.addresses():
            late = False
            rows = self.measured(address, late)
            if rows is None and address[0] != "s":
                late = True
                rows = self.measured(address, late)
            if rows is None:
                continue
            # log |moved| = a log |error| + b log |derivative| + a constant of the state
            error, gradient, length, state, rate = rows.T
            a, b, rest = _exponents(np.log(error), np.log(gradient), np.log(length), state)
            name, numbers = _name(address), {"error": a, "gradient": b, "rate": float(np.median(rate))}
            ideas = []
            if address[0] == "s":  # has no direction that could agree
                ranks = [np.log(rate[state == n]) for n in np.unique(state)]
                b = 1.0 if max(np.ptp(rank) for rank in ranks) < 0.05 else np.inf
                numbers["gradient"] = b
            if abs(a - 1) < 0.05 and np.isfinite(b):
                ideas.append(
                    Idea(
                        "gradient step",
                        name,
                        f"{name} moves along the derivative of the prediction, in proportion to the error"
                        f"{', a step late' if late else ''}; rate {numbers['rate']:.3g}",
                        numbers,
                    )
                )
            within = [np.ptp(np.log(gradient[state == n])) for n in np.unique(state)]
            if np.median(within) < 0.3:  # lengths too much alike to say what goes with them
                b = np.inf
            whole = (round(a), round(b) if np.isfinite(b) else 9)
            if address[0] != "s" and rest < 0.05 and abs(a - whole[0]) < 0.05 and abs(b - whole[1]) < 0.05:
                how = {(1, 0): "the error alone", (1, -1): "the error over the derivative's length"}
                how[0, 0] = "nothing: its length is always the same"
                if whole in how:
                    text = (
                        f"how far {name} moves along the derivative of the prediction goes with {how[whole]}"
                    )
                    ideas.append(Idea("normalised gradient", name, text, numbers))
            if ideas:
                found.append(_Step(address, late, ideas))
        return found

    def measured(self, address: Address, late: bool) -> np.ndarray | None:
        """Rows of error, lengths of derivative and motion, state and rate; None if directions differ."""
        rows, places, misses, rests, moved, far = [], self.places(address), 0, [], np.zeros(0), 0.0
        alike = 0.99 if len(self.variants(self.states[0])) == 1 else 0.95  # of means over chance
        for number, state in enumerate(self.states):
            for k, scale in enumerate((0.5, 1.0, 2.0)):
                x = scale * self.x[(number + k) % len(self.x)]
                gradient = self.derivative(state, x, address, places)
                length = float(np.linalg.norm(gradient))
                if not np.isfinite(length) or length < 1e-7:
                    misses += 1
                    continue
                for error in _ERRORS:
                    moved = self.moved(state, x, error, address, late)[places]
                    far = float(np.linalg.norm(moved))
                    if not np.isfinite(far) or moved @ gradient <= alike * far * length or far < 1e-12:
                        return None
                    rate = moved @ gradient / (error * length**2)
                    rows.append((error, length, far, number, rate))
                # A prediction less by so much is an error as large, unless learning takes no notice of it.
                pushed = self.moved(state, x, _ERRORS[-1], address, late, by_prediction=True)[places]
                if np.linalg.norm(pushed - moved) < 0.05 * far:
                    continue
                # It may be computed anew. A step that goes with the label alone moves, where there is no
                # error, as if by one as large as the prediction.
                after = self.learned(state, x, 0.0, address, late)[places]
                rest = (after - np.ravel(_at(state, address))[places]) @ gradient / length**2
                machine = _fork(state)
                self.predict(machine, x)
                rests.append((rest / rows[-1][-1], float(machine.memory["s"][1])))
        rest, predicted = np.array(rests).reshape(-1, 2).T
        if np.all(np.isfinite(rest)) and rest @ predicted > 0.5 * predicted @ predicted > 0:
            return None
        return np.array(rows) if len(rows) > 2 * misses and len(rows) >= 12 else None

    def decays(self, steps: list[_Step]) -> list[Idea]:
        """Rates that fall with the count of steps, whatever the examples were."""
        found = []
        if not steps or any(len(stream) < len(_STEPS) for stream in self.streams):
            return []
        for address, late, _ in steps:
            places = self.places(address)
            rates = np.full((len(self.streams), len(_STEPS)), np.nan)
            for j in (0, *range(len(_STEPS) - 1, 0, -1)):
                for i, stream in enumerate(self.streams):
                    rates[i, j] = self.rate(stream[j], address, late, places)
                if j and not rates[0, -1] < 0.9 * rates[0, 0]:
                    break
            one, other = rates
            alike = np.all(np.abs(one - other) <= 0.05 * np.abs(one))
            if alike and np.all(np.diff(one) <= 0.001 * one[:-1]) and one[-1] < 0.9 * one[0]:
                name = _name(address)
                text = f"the rate of {name} fell from {one[0]:.3g} to {one[-1]:.3g} in {_STEPS[-1]} steps"
                numbers = {f"after {n}": float(r) for n, r in zip(_STEPS, one, strict=True)}
                found.append(Idea("learning-rate decay", name, text, numbers))
        return found

    def rate(self, state: Machine, address: Address, late: bool, places: np.ndarray) -> float:
        """How far the address moves for each unit of error times derivative: the median over examples."""
        each = []
        for x in self.x[:3]:
            gradient = self.derivative(state, x, address, places)
            moved = self.moved(state, x, 1.0, address, late)[places]
            if gradient @ gradient > 1e-14:
                each.append(moved @ gradient / (gradient @ gradient))
        return float(np.median(each)) if each else np.nan

    def mean_rates(self, steps: list[_Step]) -> list[Idea]:
        """Rates that change when the elements of an address move alike, and not when their mean stays."""
        found = []
        states = self.states[:: max(1, len(self.states) // 4)][:4]
        code = self.program.code[self.live[: len(self.program.code)]]
        written = {(OPERATIONS[row[0]].out, int(row[3])) for row in code}
        for address, late, _ in steps:
            places = self.places(address)
            before = [self.rate(state, address, late, places) for state in states]
            for other in sorted(each for each in written if each[0] in ("v", "m")):
                misses = 0
                for state, rate in zip(states, before, strict=True):
                    size = np.arange(_at(state, other).size)
                    signs = np.where(size % 2, -1.0, 1.0) * (size < len(size) // 2 * 2)
                    far = self.shifted(state, rate, np.ones(len(size)), other, address, late, places)
                    misses += (
                        not far > 0.01
                        or not self.shifted(state, rate, signs, other, address, late, places) < 0.05 * far
                    )
                    if 2 * misses >= len(states):
                        break
                else:
                    text = f"the rate of {_name(address)} follows the mean of {_name(other)}"
                    found.append(Idea("rate from a mean", _name(address), text, {}))
        return found

    def shifted(
        self, state: Machine, rate: float, by: np.ndarray, other: Address, address: Address, late: bool,
        places: np.ndarray,
    ) -> float:  # fmt: skip
        """By which share a rate changes, at most, when `other` is moved along `by` or against it."""
        value, rates = _at(state, other), []
        for sign in (1, -1):
            moved = _fork(state)
            far = 0.2 * sign * (1 + np.abs(value).max())
            moved.memory[other[0]][other[1]] = value + far * by.reshape(value.shape)
            rates.append(self.rate(moved, address, late, places))
        return float(np.max(np.abs(np.array(rates) / rate - 1)))

    def rectifiers(self) -> list[Idea]:
        """Instructions of predict that write max(z, 0) of a z that came before and takes both signs."""
        rows = list(self.program.part("predict"))
        before: dict[tuple[int, Address], list[np.ndarray]] = {}  # values by instruction and address
        probes = [(state, scale * x) for state in self.states for x in self.x for scale in (1.0, -2.0)]
        written: list[list[np.ndarray]] = [[] for _ in rows]
        for state, x in probes:
            machine = _fork(state)
            machine.memory["v"][0], machine.memory["s"][0] = x, np.float64(0)
            for kind in "svm":
                for number in range(self.sizes.of(kind)):
                    before.setdefault((-1, (kind, number)), []).append(_at(machine, (kind, number)))
            for place, row in enumerate(rows):
                machine._step(row, PARTS.index("predict") << 16 | place)
                address = self.out(row)
                if address:
                    before.setdefault((place, address), []).append(_at(machine, address))
                    written[place].append(_at(machine, address))
        found, seen = [], set()
        values = {where: np.array(each) for where, each in before.items()}
        for place, row in enumerate(rows):
            address = self.out(row)
            if not address or not self.live[row]:
                continue
            out = np.array(written[place])
            for (when, other), z in values.items():
                if other[0] != address[0] or when >= place or (when, other) in seen:
                    continue
                above, below = np.mean(z > 1e-9), np.mean(z < -1e-9)
                if min(above, below) < 0.1 or not np.allclose(out, np.maximum(z, 0), rtol=1e-9, atol=1e-12):
                    continue
                if self.matters(row, place, when, other, probes):
                    seen.add((when, other))
                    text = instruction(self.program, row, self.sizes.features)
                    said = (
                        f"{_name(address)} is max(z, 0) of a {_name(other)} that was below 0 in {below:.0%}"
                    )
                    found.append(Idea("ReLU", text, said, {"below": float(below), "above": float(above)}))
        return found

    def matters(self, row: int, place: int, when: int, other: Address, probes: list[Any]) -> bool:
        """Whether some prediction is another one with z itself in place of max(z, 0)."""
        address = self.out(row)
        assert address
        for state, x in probes:
            ends = []
            for linear in (False, True):
                machine = _fork(state)
                machine.memory["v"][0], machine.memory["s"][0] = x, np.float64(0)
                z = _at(machine, other)
                for k, each in enumerate(self.program.part("predict")):
                    machine._step(each, PARTS.index("predict") << 16 | k)
                    if k == when:
                        z = _at(machine, other)
                    if k == place and linear:
                        machine.memory[address[0]][address[1]] = z
                ends.append(float(machine.memory["s"][1]))
            if abs(ends[0] - ends[1]) > 1e-9 * (1 + abs(ends[0])):
                return True
        return False

    def out(self, row: int) -> Address | None:
        kind = OPERATIONS[self.program.code[row, 0]].out
        return (kind, int(self.program.code[row, 3])) if kind else None

    def noise(self) -> list[Idea]:
        """Chance after setup: the same state and example, and another prediction."""
        found = []
        spreads: dict[str, list[float]] = {"predict": [], "learn": []}
        sizes, answers = [], 0
        for state in self.states[:: max(1, len(self.states) // 4)]:
            x, other = self.x[0], self.x[1]
            for part, spread in spreads.items():
                ends = []
                for key in range(16):
                    machine, kept = _reseeded(state, key), state.seed
                    if part == "predict":
                        ends.append(self.predict(machine, x))
                        continue
                    other_seed, machine.seed = machine.seed, kept
                    self.predict(machine, x)
                    machine.seed = other_seed
                    machine.learn(float(machine.memory["s"][1] + 0.5))
                    machine.seed = kept
                    ends.append(self.predict(machine, other))
                spread.append(float(np.std(ends)))
            one, two = (self.predict(_fork(state), each) for each in (x, other))
            sizes.append(abs(one) + abs(two))
            answers += abs(one - two) > 1e-9 * (1 + abs(one))
        if not answers:
            return []
        for part, spread in spreads.items():
            if np.all(np.isfinite(spread)) and np.median(spread) > 1e-9 * (1 + np.median(sizes)):
                size = float(np.median(spread))
                text = f"chance in {part} spreads the prediction of the same example by {size:.3g}"
                found.append(Idea("noise injection", part, text, {"spread": size}))
        return found

    def bilinear(self) -> list[Idea]:
        """Predictions that are of second degree in the features, with products of different ones."""
        f, crossed, total = self.sizes.features, [], 0
        if f < 2:
            return []
        for state in self.states[:: max(1, len(self.states) // 4)]:

            def at(x: np.ndarray, state: Machine = state) -> float:
                return self.predict(_fork(state), x)

            total += 1
            products, bent = [], []
            for _ in range(4):
                x, u = self.random.normal(size=(2, f))
                line = [at(x + k * u) for k in (-2, -1, 0, 1, 2)]
                bent.append((np.max(np.abs(np.diff(line, 3))), np.max(np.abs(np.diff(line, 2)))))
                i, j = self.random.choice(f, 2, False)
                p, q = np.eye(f)[i], np.eye(f)[j]
                for base in (x, 3 * u):
                    products.append(at(base + p + q) - at(base + p) - at(base + q) + at(base))
            third, second = np.array(bent).max(0)
            pairs = np.array(products).reshape(-1, 2)
            weight = float(np.max(np.abs(pairs)))
            same = np.allclose(pairs[:, 0], pairs[:, 1], rtol=1e-5, atol=1e-7 * second)
            if third < 1e-7 * second and weight > 1e-4 * second and same:
                crossed.append(weight)
        if not crossed or len(crossed) < total / 2:
            return []
        text = f"the prediction has products of different features, with weights up to {max(crossed):.3g}"
        return [Idea("bilinear term", "s1", text, {"weight": max(crossed)})]

    def averages(self) -> list[Idea]:
        """Addresses that sum up or average others that learning moves by error times features."""
        found = []
        if len(self.trails) < 8:
            return found
        addresses = [address for address in self.addresses() if address[0] != "s"]
        learned = [address for address in addresses if self.learns(address)]
        for address in addresses:
            for weights in learned:
                if weights == address or weights[0] != address[0]:
                    continue
                # after - before = a weights - b before, the same a and b at all times
                change, rows = [], []
                for before, after in self.trails:
                    then, now = _at(before, address).ravel(), _at(after, address).ravel()
                    change.append(now - then)
                    rows.append(np.stack([_at(after, weights).ravel(), then], 1))
                    rows.append(np.stack([_at(before, weights).ravel(), then], 1))
                target = np.concatenate(change)
                size = np.linalg.norm(target)
                if size < 1e-9:
                    continue
                for regressors in (np.concatenate(rows[0::2]), np.concatenate(rows[1::2])):
                    (a, b), *_ = np.linalg.lstsq(regressors, target, rcond=None)
                    rest = np.linalg.norm(regressors @ [a, b] - target)
                    used = any(
                        np.any(np.abs(self.derivative(state, x, address, self.places(address))) > 1e-7)
                        for state in self.states[-2:]
                        for x in self.x[:2]
                    )
                    summed = abs(b) < 1e-6
                    # A share of 1 is a copy.
                    averaged = -1 + 1e-6 < b < 0 and abs(a + b) < 0.02 * a
                    if rest < 1e-6 * size and a > 1e-6 and (summed or averaged) and used:
                        name, other = _name(address), _name(weights)
                        how = f"the sum of {other} over time" if summed else f"a running mean of {other}"
                        text = f"the prediction uses {name}, {how}, by {a:.3g} a step"
                        found.append(
                            Idea("weight averaging", name, text, {"new": float(a), "old": float(1 + b)})
                        )
                        break
        return found

    def learns(self, address: Address) -> bool:
        """Whether a step adds error times features to it, and nothing where there is no error."""
        if address[0] != "v":
            return False
        for state in self.states[-2:]:
            for x in self.x[:3]:
                small, large = (self.moved(state, x, error, address) for error in _ERRORS)
                length = np.linalg.norm(large)
                if not length > 1e-12 or abs(large @ x) < 0.99 * length * np.linalg.norm(x):
                    return False
                if not np.allclose(small * _ERRORS[1] / _ERRORS[0], large, rtol=0.05, atol=1e-12):
                    return False
                still = self.learned(state, x, 0.0, address) - _at(state, address)
                if np.linalg.norm(still) > 1e-3 * np.linalg.norm(_at(state, address)):
                    return False
        return True


def _fork(machine: Machine) -> Machine:
    """Itself at another place: an instruction replaces what it writes and never changes an array."""
    other = copy.copy(machine)
    other.memory = {kind: list(values) for kind, values in machine.memory.items()}
    return other


def _reseeded(machine: Machine, key: int) -> Machine:
    """Another copy, which draws other random numbers; the same for key 0."""
    other = _fork(machine)
    other.seed = fold(machine.seed, key) if key else machine.seed
    return other


def _at(machine: Machine, address: Address) -> np.ndarray:
    return machine.memory[address[0]][address[1]]


def _name(address: Address) -> str:
    return f"{address[0]}{address[1]}"


def _finite(machine: Machine) -> bool:
    return bool(abs(machine.memory["s"][1]) < 1e6)


def _exponents(x: np.ndarray, y: np.ndarray, z: np.ndarray, groups: np.ndarray) -> tuple[float, float, float]:
    """z = a x + b y + a constant of each group, by least squares: a, b and the root mean square left."""
    constants = groups[:, None] == np.unique(groups)[None]
    matrix = np.concatenate([np.stack([x, y], 1), constants], 1)
    found, *_ = np.linalg.lstsq(matrix, z, rcond=None)
    return float(found[0]), float(found[1]), float(np.sqrt(np.mean((matrix @ found - z) ** 2)))
