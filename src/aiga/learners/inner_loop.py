"""The inner loop of learning to learn: some steps of gradient descent, and the gradient of what they came to.

An inner loop starts a task at weights w[0] and goes K steps on the task's own examples,

    w[k + 1] = w[k] - rates adapts grad L_train(w[k]);

what it is worth is L_valid(w[K]), and the meta-gradient is the slope of that in what is learnt: the start
and the rates. Both are data, `Meta`. Finn, Abbeel, Levine 2017 (MAML, arXiv 1703.03400) learn the start; Li,
Zhou, Chen, Li 2017 (Meta-SGD, arXiv 1707.09835) also a rate for every weight; Raghu, Raghu, Bengio, Vinyals
2020 (ANIL, arXiv 1909.09157) let the last layer alone adapt. `Config.gradient` says how the slope is found:

    second     through all K steps: exact (MAML)
    first      as if grad L_train did not depend on the weights (first-order MAML)
    truncated  exact through the `last` steps, and as `first` through those before
    implicit   (I + H / pull)^-1 grad L_valid at the end of descent on L_train + pull / 2 |w - w[0]|^2, H the
               Hessian of L_train, by conjugate gradients: Rajeswaran, Finn, Kakade, Levine 2019 (iMAML, arXiv
               1909.04630)
    es         mean of (F(w[0] + sigma e) - F(w[0] - sigma e)) e / (2 sigma), F what the loop is worth: Song
               et al. 2020 (ES-MAML, arXiv 1910.01215)
    reptile    w[0] - w[K], no slope of anything: Nichol, Achiam, Schulman 2018 (arXiv 1803.02999)

A step sees all of the task's examples; where they are a `stream` it sees those of its own turn, as Javed and
White 2019 (OML, arXiv 1905.12588) have it for learning without forgetting.

Axis letters: K steps, N weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.scipy.sparse.linalg import cg

from aiga.interfaces import Key

Gradient = Literal["second", "first", "truncated", "implicit", "es", "reptile"]
UNROLLED = ("second", "first", "truncated")  # those that know a slope of the rates, and of every step's loss
Loss = Callable[[Any, Any], Any]  # of weights and examples, f32[]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Meta:
    """What can be learnt of a learner: three pytrees of one structure."""

    start: Any  # the weights before a task
    rates: Any  # of each leaf: f32[], or of the leaf's shape
    adapts: Any  # of each leaf: f32[], 1 where it adapts and 0 where it stays


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """What the loop keeps within a task."""

    weights: Any


@dataclass(frozen=True)
class Config:
    """How the loop goes and how its gradient is found. ValueError, naming the field, for one out of range."""

    gradient: Gradient = "second"
    steps: int = 1  # K; 0: no task is learnt, and the start is judged as it is
    stream: bool = False  # examples to learn from have a leading axis K: one entry a step, in this order
    last: int = 1  # of `truncated`
    checkpoint: bool = False  # memory of one step and not of K, for one more pass through each
    pull: float = 2.0  # of `implicit`; its lambda
    solve: int = 10  # of `implicit`: iterations of conjugate gradients
    pairs: int = 16  # of `es`: antithetic pairs, a task
    sigma: float = 0.1  # of `es`: standard deviation of the noise on the start

    def __post_init__(self) -> None:
        for name, fine, allowed in (
            ("gradient", self.gradient in get_args(Gradient), "one of " + ", ".join(get_args(Gradient))),
            ("steps", self.steps >= 0, "at least 0"),
            ("last", self.last >= 0, "at least 0"),
            ("pull", 0 < self.pull < np.inf, "greater than 0"),
            ("solve", self.solve >= 1, "at least 1"),
            ("pairs", self.pairs >= 1, "at least 1"),
            ("sigma", 0 < self.sigma < np.inf, "greater than 0"),
        ):
            if not fine:
                raise ValueError(f"{name}: {allowed}, not {getattr(self, name)!r}")
        if self.stream and self.gradient == "implicit":
            raise ValueError("gradient: not implicit of a stream, which has no one loss to be at its least")
        if not self.steps and self.gradient in ("implicit", "reptile"):
            raise ValueError(f"steps: at least 1 with {self.gradient}, not 0")

    @property
    def exact(self) -> int:
        """How many of the steps, the last ones, a gradient goes through whole."""
        return {"second": self.steps, "truncated": min(self.last, self.steps)}.get(self.gradient, 0)


def alike(weights: Any, value: float) -> Any:
    """One number for every leaf of `weights`: rates, or all that adapts."""
    return jax.tree.map(lambda leaf: jnp.float32(value), weights)


def each(weights: Any, value: float) -> Any:
    """One number for every weight: the rates of Meta-SGD."""
    return jax.tree.map(lambda leaf: jnp.full(jnp.shape(leaf), value, jnp.float32), weights)


def head(weights: Any) -> Any:
    """`adapts` of ANIL: 1 for the last of a sequence of layers, 0 for the others."""
    *body, last = weights
    return type(weights)([*(alike(layer, 0.0) for layer in body), alike(last, 1.0)])


def check_shapes(weights: Any, start: Callable[[Key], Any]) -> None:
    """ValueError where stored `weights` have other shapes than those that `start` draws now."""
    wanted = jax.eval_shape(start, jax.random.key(0))
    found, wanted = ([np.shape(leaf) for leaf in jax.tree.leaves(each)] for each in (weights, wanted))
    if found != wanted:
        raise ValueError("weights: of other shapes; this run began with another version of aiga")


@dataclass(frozen=True)
class InnerLoop:
    """The learner of tasks. `loss(weights, examples)` is f32[], the same function for what is learnt from and
    what is judged on; `rate` is for whoever calls `learn` without `meta`. At most `unrolled` steps that have
    a slope are compiled one after the other, without a loop: large networks learn faster so, and compile
    longer."""

    loss: Loss
    config: Config = Config()
    rate: float = 0.01
    unrolled: int = 1

    def init(self, key: Key, weights: Any) -> State:
        """The beginning of a task. Nothing here is random."""
        del key
        return State(jax.tree.map(jnp.asarray, weights))

    def learn(
        self, meta: Meta | None, key: Key, state: State, experience: Any
    ) -> tuple[State, dict[str, Any]]:
        """K steps on `experience` from where the learner stands; `implicit` pulls to `meta.start`."""
        del key
        weights = state.weights
        meta = meta or Meta(weights, alike(weights, self.rate), alike(weights, 1.0))
        for_good = self._end(meta, experience, weights)
        metrics = {"before": weights, "after": for_good}
        return State(for_good), {name: self._all(now, experience) for name, now in metrics.items()}

    def curve(self, meta: Meta, train: Any, valid: Any, steps: int, score: Any = None) -> Any:
        """Scores f32[steps + 1] on `valid` after 0, 1, ... steps on `train`; losses, if no other is given.
        What else a `score` consists of has an axis [steps + 1] before its own, too."""
        score = score or self.loss

        def step(now: Any, turn: Any) -> tuple[Any, Any]:
            return self._step(meta, now, self._seen(train, turn)), score(now, valid)

        weights, scores = jax.lax.scan(step, meta.start, self._turns(train, steps), length=steps)
        last = score(weights, valid)
        return jax.tree.map(lambda those, one: jnp.concatenate([those, one[None]]), scores, last)

    def gradient(
        self, meta: Meta, key: Key, train: Any, valid: Any, importance: Any = None
    ) -> tuple[Meta, jax.Array]:
        """The meta-gradient of one task, and the loss f32[] on `valid` after the last step.

        `importance` f32[K] weighs the losses after steps 1 to K (Antoniou, Edwards, Storkey 2019, "How to
        train your MAML", arXiv 1810.09502); without it the last one alone counts. Only `es` draws from `key`.
        What is not known is 0: the slope of the rates beyond `UNROLLED`, that of `adapts` always. Raises
        ValueError for `importance` beyond `UNROLLED`.
        """
        kind = self.config.gradient
        if importance is not None and kind not in UNROLLED:
            raise ValueError(f"importance: with {', '.join(UNROLLED)}, not with {kind}")
        nothing = jax.tree.map(jnp.zeros_like, meta)
        if kind in UNROLLED:

            def worth(start: Any, rates: Any) -> tuple[Any, Any]:
                return self.worth(Meta(start, rates, meta.adapts), train, valid, importance)

            (start, rates), loss = jax.grad(worth, (0, 1), has_aux=True)(meta.start, meta.rates)
            return Meta(start, rates, nothing.adapts), loss
        if kind == "es":
            start, loss = self._smoothed(meta, key, train, valid)
        else:
            weights = self._end(meta, train, meta.start)
            loss = self.loss(weights, valid)
            if kind == "implicit":
                start = self._implied(meta, weights, train, valid)
            else:
                start = jax.tree.map(jnp.subtract, meta.start, weights)
        return Meta(start, nothing.rates, nothing.adapts), loss

    def worth(self, meta: Meta, train: Any, valid: Any, importance: Any = None) -> tuple[Any, Any]:
        """What counts, f32[], and the loss f32[] on `valid` after the last step.

        It is what `gradient` differentiates for the kinds `UNROLLED`, `importance` as there, and may be
        differentiated by whoever has learnt the examples too, such as features of a representation that does
        not adapt.
        """
        weights, losses, first = meta.start, [], 0
        for exact, count in ((False, self.config.steps - self.config.exact), (True, self.config.exact)):

            def step(now: Any, turn: Any, exact: bool = exact) -> tuple[Any, Any]:
                now = self._step(meta, now, self._seen(train, turn), exact)
                return now, None if importance is None else self.loss(now, valid)

            body = jax.checkpoint(step, prevent_cse=False) if self.config.checkpoint else step
            turns, whole = self._turns(train, count, first), count <= self.unrolled
            weights, those = jax.lax.scan(body, weights, turns, length=count, unroll=whole)
            losses.append(those)
            first += count
        if importance is None or not self.config.steps:
            loss = self.loss(weights, valid)
            return loss, loss
        after = jnp.concatenate(losses)
        return importance @ after, after[-1]

    def _step(self, meta: Meta, weights: Any, train: Any, exact: bool = True) -> Any:
        slope = jax.grad(self.loss)(weights, train)
        if self.config.gradient == "implicit":
            slope = jax.tree.map(
                lambda g, now, start: g + self.config.pull * (now - start), slope, weights, meta.start
            )
        if not exact:
            slope = jax.lax.stop_gradient(slope)
        return jax.tree.map(
            lambda now, rate, adapts, g: now - rate * adapts * g, weights, meta.rates, meta.adapts, slope
        )

    def _turns(self, train: Any, steps: int, first: int = 0) -> Any:
        """What a scan over `steps` steps from the `first` one goes through: nothing, or the stream."""
        if not self.config.stream:
            return None
        if any(leaf.shape[0] < first + steps for leaf in jax.tree.leaves(train)):
            raise ValueError(f"steps: as many as the stream has examples, at most, not {first + steps}")
        return jax.tree.map(lambda leaf: leaf[first : first + steps], train)

    def _seen(self, train: Any, turn: Any) -> Any:
        return turn if self.config.stream else train

    def _all(self, weights: Any, train: Any) -> Any:
        """The mean loss on all examples to learn from."""
        if not self.config.stream:
            return self.loss(weights, train)
        return jax.vmap(self.loss, (None, 0))(weights, train).mean()

    def _end(self, meta: Meta, train: Any, weights: Any) -> Any:
        """After K steps from `weights`."""

        def step(now: Any, turn: Any) -> tuple[Any, None]:
            return self._step(meta, now, self._seen(train, turn)), None

        steps = self.config.steps
        return jax.lax.scan(step, weights, self._turns(train, steps), length=steps)[0]

    def _implied(self, meta: Meta, weights: Any, train: Any, valid: Any) -> Any:
        """The implicit function's gradient where the weights of `adapts` stand at their optimum.

        With (H + pull I) u = grad L_valid, all of it among what adapts, the start of that has slope pull u;
        what does not adapt has grad L_valid - H u.
        """
        flat, back = ravel_pytree(weights)
        wide = jax.tree.map(lambda adapt, leaf: jnp.broadcast_to(adapt, leaf.shape), meta.adapts, weights)
        free = ravel_pytree(wide)[0]
        pull = self.config.pull

        def curved(direction: Any) -> Any:
            slope = jax.grad(lambda now: self.loss(back(now), train))
            return jax.jvp(slope, (flat,), (direction,))[1]

        wanted = jax.grad(lambda now: self.loss(back(now), valid))(flat)
        solved, _ = cg(
            lambda u: free * curved(free * u) + pull * u, free * wanted, tol=1e-6, maxiter=self.config.solve
        )
        return back(free * pull * solved + (1 - free) * (wanted - curved(free * solved)))

    def _smoothed(self, meta: Meta, key: Key, train: Any, valid: Any) -> tuple[Any, Any]:
        """The gradient of what the loop is worth under noise on its start, and its worth without."""
        flat, back = ravel_pytree(meta.start)
        noise = jax.random.normal(key, (self.config.pairs, flat.size), jnp.float32)

        def worth(start: Any) -> Any:
            return self.loss(self._end(meta, train, back(start)), valid)

        sigma = self.config.sigma
        up, down = (jax.vmap(worth)(flat + sign * sigma * noise) for sign in (1, -1))
        return back((up - down) @ noise / (2 * sigma * self.config.pairs)), worth(flat)
