"""What a program computes, in JAX: the program is data, so one compiled function runs every program.

It computes what `interpreter` says, random numbers included, and can be jitted, mapped over programs and
differentiated backwards with respect to constants and memory. What is its own: products may be fused with
sums, so the last bits differ; the smallest numbers, below the normal ones, may count as 0; the clock has 32
bits. Rows are not checked where JAX traces them: one that does not fit reads from the nearest address, and
writes nothing if it is its output that does not fit. Derivatives of steps are 0, and so is that of a norm or
deviation where it is 0.

Axis letters: L rows, S scalars, V vectors, M matrices, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from aiga.brains.programs.interpreter import GOLDEN
from aiga.brains.programs.interpreter import fold as fold_whole
from aiga.brains.programs.kernel import PRECISIONS, stacked
from aiga.brains.programs.ops import OPERATIONS, PARTS, Program, Sizes


class Rule(NamedTuple):
    """A program as arrays; what is beyond the last instruction is padding."""

    code: Any  # u8[L, 4]
    data: Any  # f[L, 3]
    lengths: Any  # i32[3], of setup, predict and learn


class Memory(NamedTuple):
    """All that a program can write to, and the label and the features."""

    scalars: Any  # f[S]
    vectors: Any  # f[V, F]
    matrices: Any  # f[M, F, F]


Words = tuple[Any, Any]  # 64 bits as u32[...] high and low: JAX has no wider numbers unless all are


@dataclass(frozen=True)
class Machine:
    """What is fixed when programs are compiled. ValueError, naming the field, for one out of range.

    A step takes time in proportion to `most` of predict and learn, whatever the program's own lengths.
    """

    sizes: Sizes = field(default_factory=Sizes)
    most: tuple[int, int, int] = (16, 16, 32)  # instructions of setup, predict and learn
    accuracy: bool = False  # predictions become their sigmoid
    precision: str = "float32"  # float64 needs jax_enable_x64

    def __post_init__(self) -> None:
        object.__setattr__(self, "most", tuple(self.most))
        if len(self.most) != 3 or not all(0 <= n <= 255 for n in self.most):
            raise ValueError(f"most: three numbers from 0 to 255, not {self.most}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: one of {', '.join(PRECISIONS)}, not {self.precision!r}")

    def rule(self, program: Program) -> Rule:
        """`program` as arrays of L = the sum of `most` rows.

        Raises ValueError, naming the instruction or the part, for a program that does not fit.
        """
        program.check(self.sizes)
        for name, length, most in zip(PARTS, program.lengths, self.most, strict=True):
            if length > most:
                raise ValueError(f"{name}: at most {most} instructions, not {length}")
        code, data, lengths = stacked([program], sum(self.most))
        with np.errstate(over="ignore"):  # constants beyond float32 are infinite
            return Rule(code[0], data[0].astype(self.precision), lengths[0])

    def begin(self) -> Memory:
        """Zeros. ValueError where JAX has no float64 and `precision` asks for it."""
        kind, s = jnp.dtype(self.precision), self.sizes
        if jax.dtypes.canonicalize_dtype(kind) != kind:
            raise ValueError("precision: float64 needs JAX's option jax_enable_x64")
        shapes = (s.scalars,), (s.vectors, s.features), (s.matrices, s.features, s.features)
        return Memory(*(jnp.zeros(shape, kind) for shape in shapes))

    def setup(self, rule: Rule, memory: Memory, seed: Any, time: Any) -> Memory:
        """Memory after setup; `seed` u32[2] as `seeded` makes it, `time` u32[] the parts run before."""
        return self._run(0, rule, memory, seed, time)

    def predict(self, rule: Rule, memory: Memory, seed: Any, time: Any, features: Any) -> Memory:
        """Memory after predict for `features` f[F]; the prediction is in scalar 1."""
        features = jnp.asarray(features).astype(memory.vectors.dtype)
        memory = memory._replace(
            scalars=memory.scalars.at[0].set(0.0), vectors=memory.vectors.at[0].set(features)
        )
        memory = self._run(1, rule, memory, seed, time)
        if self.accuracy:
            squashed = 1 / (1 + jnp.exp(-memory.scalars[1]))
            memory = memory._replace(scalars=memory.scalars.at[1].set(squashed))
        return memory

    def learn(self, rule: Rule, memory: Memory, seed: Any, time: Any, label: Any) -> Memory:
        """Memory after learn from `label` f[] of what was predicted last."""
        label = jnp.asarray(label).astype(memory.scalars.dtype)
        memory = memory._replace(scalars=memory.scalars.at[0].set(label))
        return self._run(2, rule, memory, seed, time)

    def check(self, rule: Rule) -> Rule:
        """Itself. ValueError for lengths beyond `most`; what JAX traces is not looked at."""
        if not isinstance(rule.lengths, Tracer) and np.any(np.asarray(rule.lengths) > self.most):
            raise ValueError(f"lengths: at most {self.most}, not {np.asarray(rule.lengths).tolist()}")
        return rule

    def _run(self, part: int, rule: Rule, memory: Memory, seed: Any, time: Any) -> Memory:
        return _rows(self.most[part], part, self.check(rule), memory, seed, time)


@partial(jax.jit, static_argnums=(0, 1))
def _rows(most: int, part: int, rule: Rule, memory: Memory, seed: Any, time: Any) -> Memory:
    """The rows of one component function in turn: always as many, so that a gradient can go back."""
    count = min(most, len(rule.code))
    if not count:
        return memory
    lengths = jnp.asarray(rule.lengths, jnp.int32)
    places = jnp.arange(count, dtype=jnp.int32)
    rows = jnp.clip(lengths[:part].sum(dtype=jnp.int32) + places, 0, len(rule.code) - 1)
    code = jnp.asarray(rule.code).astype(jnp.int32)[rows]
    code = jnp.where((places < lengths[part])[:, None], code, 0)
    data = jnp.asarray(rule.data).astype(memory.scalars.dtype)[rows]
    now = fold((seed[..., 0], seed[..., 1]), jnp.asarray(time, jnp.uint32))

    def step(memory: Memory, row: tuple) -> tuple[Memory, None]:
        code, data, place = row
        return _step(memory, code, data, fold(now, (part << 16 | place).astype(jnp.uint32))), None

    return lax.scan(step, memory, (code, data, places))[0]


class Remembered(NamedTuple):
    """What a `Predictor` carries from step to step."""

    memory: Memory
    time: Any  # u32[], predictions so far


@dataclass(frozen=True)
class Predictor:
    """A brain that does what the predict part of `rule` says; its weights are a `Memory`.

    An episode begins with the weights' memory and goes on with what predict makes of it. Random numbers are
    those of seed 0 and the predictions of the episode so far. `rule` may be traced: build the brain inside
    what is compiled.
    """

    machine: Machine
    rule: Rule

    def init(self, key: jax.Array) -> Memory:
        """Memory after setup, which draws from `key`."""
        return self.machine.setup(self.rule, self.machine.begin(), drawn(key), jnp.uint32(0))

    def begin(self) -> Remembered:
        return Remembered(self.machine.begin(), jnp.uint32(0))

    def act(self, weights: Memory, memory: Remembered, observation: Any) -> tuple[jax.Array, Remembered]:
        """`observation` f[F] to the prediction f[1]."""
        own, time = memory
        held = jax.tree.map(lambda first, later: jnp.where(time == 0, first, later), weights, own)
        seed = jnp.zeros(2, jnp.uint32)
        # Setup has had the first moment.
        held = self.machine.predict(self.rule, held, seed, time + jnp.uint32(1), observation)
        return held.scalars[1:2], Remembered(held, time + jnp.uint32(1))


def seeded(key: int, task: int) -> np.ndarray:
    """The seed u32[2] of the interpreter's random numbers for `key` and `task`, from 0 to 2^64 - 1 each."""
    h = fold_whole(key, task)
    return np.array([h >> 32, h & 0xFFFFFFFF], np.uint32)


def drawn(key: jax.Array) -> jax.Array:
    """A seed u32[2] from JAX's `key`."""
    return jax.random.bits(key, (2,), jnp.uint32)


def _times(x: Words, number: int) -> Words:
    """The low 64 bits of a product, in halves of 16 bits so that nothing is lost."""
    high, low = x
    other_high, other_low = jnp.uint32(number >> 32), jnp.uint32(number & 0xFFFFFFFF)
    sixteen, mask = jnp.uint32(16), jnp.uint32(0xFFFF)
    a, b = low >> sixteen, low & mask
    c, d = other_low >> sixteen, other_low & mask
    middle = a * d + (b * d >> sixteen)
    upper = (middle & mask) + b * c
    carried = a * c + (middle >> sixteen) + (upper >> sixteen)
    return carried + high * other_low + low * other_high, low * other_low


def _plus(x: Words, y: Words) -> Words:
    low = x[1] + y[1]
    return x[0] + y[0] + (low < x[1]).astype(jnp.uint32), low


def _shaken(x: Words, by: int) -> Words:
    """x ^ x >> by."""
    high, low = x
    right, left = jnp.uint32(by), jnp.uint32(32 - by)
    return high ^ high >> right, low ^ (low >> right | high << left)


def mix(x: Words) -> Words:
    """As the interpreter's."""
    x = _times(_shaken(x, 30), 0xBF58476D1CE4E5B9)
    return _shaken(_times(_shaken(x, 27), 0x94D049BB133111EB), 31)


def fold(h: Words, x: Any) -> Words:
    """As the interpreter's, of x u32[...]."""
    zero = jnp.zeros_like(x)
    return mix(_plus(h, _times(_plus((zero, x), (zero, zero + jnp.uint32(1))), GOLDEN)))


def _unit(words: Words, kind: Any) -> Any:
    high, low = words
    return high.astype(kind) * 2.0**-32 + (low >> jnp.uint32(11)).astype(kind) * 2.0**-53


def _uniform(words: Words, low: Any, high: Any) -> Any:
    return low + (high - low) * _unit(words, low.dtype)


def _gaussian(words: Words, mean: Any, deviation: Any) -> Any:
    kind = mean.dtype
    golden = jnp.uint32(GOLDEN >> 32), jnp.uint32(GOLDEN & 0xFFFFFFFF)
    radius = jnp.sqrt(-2 * jnp.log(_unit(words, kind) + 2.0**-53))
    return mean + deviation * (radius * jnp.cos(2 * np.pi * _unit(mix(_plus(words, golden)), kind)))


def _root(x: Any) -> Any:
    zero = x == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, x)))


@jax.custom_jvp
def _sum(x: Any) -> Any:
    """Over the last axis, from -0: JAX's own sum of negative zeros is 0, and one over it another infinity."""
    return lax.reduce(x, np.array(-0.0, x.dtype), lax.add, (x.ndim - 1,))


@_sum.defjvp
def _(at: tuple, away: tuple) -> tuple:
    return _sum(*at), away[0].sum(-1)


def _mean(x: Any) -> Any:
    return (_sum(_sum(x)) if x.ndim == 2 else _sum(x)) / x.size


def _deviation(x: Any) -> Any:
    away = x - _mean(x)
    return _root(_mean(away * away))


def _norm(x: Any) -> Any:
    squares = _sum(x * x)
    return _root(_sum(squares) if x.ndim == 2 else squares)


_ANY: dict[str, Callable[..., Any]] = {
    "add": jnp.add,
    "subtract": jnp.subtract,
    "multiply": jnp.multiply,
    "divide": jnp.divide,
    "abs": jnp.abs,
    "reciprocal": lambda a: 1 / a,
    "minimum": lambda a, b: jnp.where((a < b) | (a != a), a, b),
    "maximum": lambda a, b: jnp.where((a > b) | (a != a), a, b),
    "heaviside": lambda a: (a > 0).astype(a.dtype),
    "norm": _norm,
    "mean": _mean,
    "deviation": _deviation,
}
_CURVES = ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "exp", "log")
_ONE: dict[str, Callable[..., Any]] = {
    **{f"s {name}": getattr(jnp, name) for name in _CURVES},
    "s heaviside": lambda a: (a >= 0).astype(a.dtype),
    "s times v": jnp.multiply,
    "s times m": jnp.multiply,
    "v dot": lambda a, b: _sum(a * b),
    "v outer": lambda a, b: a[:, None] * b[None, :],
    "m times v": lambda a, b: _sum(a * b),
    "m product": lambda a, b: _sum(a[:, None, :] * b.T[None, :, :]),
    "v as columns": lambda a: jnp.broadcast_to(a[:, None], (len(a), len(a))),
    "v as rows": lambda a: jnp.broadcast_to(a[None, :], (len(a), len(a))),
    "m column norms": lambda a: _root(_sum(a.T * a.T)),
    "m row norms": lambda a: _root(_sum(a * a)),
    "m transpose": jnp.transpose,
    "m row means": lambda a: _sum(a) / len(a),
    "m row deviations": jax.vmap(_deviation),
}


class _Read(NamedTuple):
    """What an instruction may read, and a derivative goes back to."""

    data: Any  # f[3]
    first: Memory  # one scalar, vector and matrix, at the first address
    second: Memory
    old: Any  # what is at the address of the output


Branch = Callable[[_Read, Words], Any]


def _branch(number: int, features: int) -> Branch:
    """What operation `number` writes, given what it reads and the hash of its time and place."""
    operation = OPERATIONS[number]
    kind = "svm".index(operation.out)
    shape = (features,) * kind

    def constant(read: _Read, words: Words) -> Any:
        places = [
            jnp.clip(jnp.nan_to_num(jnp.floor(share * features)), 0, features - 1).astype(jnp.int32)
            for share in read.data[1 : len(operation.data)]
        ]
        return read.old.at[tuple(places)].set(read.data[0])

    def chance(read: _Read, words: Words) -> Any:
        elements = jnp.arange(features**kind, dtype=jnp.uint32).reshape(shape)
        draw = _uniform if "low" in operation.data else _gaussian
        return draw(fold(words, elements), read.data[0], read.data[1])

    def computed(read: _Read, words: Words) -> Any:
        ins = [
            where["svm".index(letter)]
            for letter, where in zip(operation.ins, (read.first, read.second), strict=False)
        ]
        if operation.name == "s broadcast":
            return jnp.broadcast_to(ins[0], shape)
        return (_ONE.get(operation.name) or _ANY[operation.name.split()[1]])(*ins)

    return constant if "constant" in operation.data else chance if operation.data else computed


# For each kind the operations that write it, and where in that list each of the 256 codes is: 0 for none.
_WRITERS = {kind: [k for k, o in enumerate(OPERATIONS) if o.out == kind] for kind in "svm"}
_PLACES = {
    kind: np.array([1 + writers.index(k) if k in writers else 0 for k in range(256)], np.int32)
    for kind, writers in _WRITERS.items()
}


def _read(memory: Memory, address: Any) -> Memory:
    """One of each kind, the last where there are fewer; without matrices a matrix of zeros."""
    features = memory.vectors.shape[-1]
    return Memory(
        *(
            lax.dynamic_index_in_dim(part, jnp.minimum(address, len(part) - 1), keepdims=False)
            if len(part)
            else jnp.zeros((features, features), part.dtype)
            for part in memory
        )
    )


def _chosen(branches: Sequence[Branch]) -> Callable[[Any, _Read, Words], Any]:
    """The switch among `branches`, and its derivative another switch, among theirs.

    JAX's own derivative keeps what every branch would need, and where it is mapped over programs, branches
    not taken add nothing times infinity: NaN. The price is that there is no forward mode.
    """

    @jax.custom_vjp
    def switch(which: Any, read: _Read, words: Words) -> Any:
        return lax.switch(which, branches, read, words)

    def forward(which: Any, read: _Read, words: Words) -> tuple:
        return switch(which, read, words), (which, read, words)

    def back(kept: tuple, slope: Any) -> tuple:
        which, read, words = kept

        def backward(branch: Branch) -> Callable[[_Read, Words, Any], Any]:
            return lambda read, words, slope: jax.vjp(lambda read: branch(read, words), read)[1](slope)[0]

        return None, lax.switch(which, [backward(each) for each in branches], read, words, slope), None

    switch.defvjp(forward, back)
    return switch


@cache
def _switch(kind: str, features: int) -> Callable[[Any, _Read, Words], Any]:
    """Among all that writes a scalar, a vector or a matrix; first of all nothing new."""
    branches: list[Branch] = [lambda read, words: read.old]
    return _chosen(branches + [_branch(number, features) for number in _WRITERS[kind]])


def _step(memory: Memory, code: Any, data: Any, words: Words) -> Memory:
    """Memory after one instruction.

    A switch for each kind of output: mapped over programs, a switch computes and chooses among all branches.
    """
    op, first, second, out = code
    ins, old, after = (_read(memory, first), _read(memory, second)), _read(memory, out), []
    for kind, part, before in zip("svm", memory, old, strict=True):
        if not len(part):
            after.append(part)
            continue
        # The label and the features are not a program's to write.
        fits = (out >= int(kind != "m")) & (out < len(part))
        which = jnp.where(fits, jnp.asarray(_PLACES[kind])[op], 0)
        value = _switch(kind, memory.vectors.shape[-1])(which, _Read(data, *ins, before), words)
        place = jnp.minimum(out, len(part) - 1)
        after.append(lax.dynamic_update_index_in_dim(part, value, place, axis=0))
    return Memory(*after)
