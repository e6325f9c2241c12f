"""PPO against its formulas, hand-worked cases and worlds whose values are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aiga.benchmarks import ppo as benchmark
from aiga.benchmarks.walker import trained
from aiga.brains import MLP, ActorCritic, Associative, Greedy
from aiga.brains.policies import Categorical, Gaussian, Judgement
from aiga.brains.wrappers import Moments, Standardised, fold
from aiga.interfaces import View
from aiga.learners import ppo
from aiga.learners.ppo import PPO, Config, Knobs
from aiga.play.collecting import collect, enter
from aiga.play.evaluation import evaluator, flatten
from aiga.play.shards import AXIS, spread
from aiga.worlds.control import Acrobot, CartPole, Pendulum, Recall
from aiga.worlds.walker import kernel
from aiga.worlds.walker.course import Course, Genes
from aiga.worlds.walker.native import NativeWalker
from aiga.worlds.walker.world import WalkerWorld


def test_advantages_are_the_double_sum() -> None:
    """A[t] = sum over l of (discount trace)^l delta[t + l], up to the end of the episode."""
    rng = np.random.default_rng(0)
    reward, value, following = rng.normal(size=(3, 12, 3)).astype(np.float32)
    ended = rng.random((12, 3)) < 0.3
    delta = reward + 0.9 * following - value
    wanted = np.zeros((12, 3))
    for row in range(3):
        for t in range(12):
            for later in range(t, 12):
                wanted[t, row] += (0.9 * 0.8) ** (later - t) * delta[later, row]
                if ended[later, row]:
                    break
    got = ppo.advantages(reward, value, following, ended, 0.9, 0.8)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


class Ratios(NamedTuple):
    """A policy that says what the weights say: log_prob and value of each step."""

    change: Any

    def log_prob(self, action: Any) -> Any:
        return self.change

    def entropy(self) -> Any:
        return jnp.full_like(self.change, 0.25)


class Told:
    """A brain whose weights f32[2, 4] are the log ratios and the values of four steps."""

    def init(self, key: Any) -> Any:
        return jnp.zeros((2, 4), jnp.float32)

    def begin(self) -> tuple[()]:
        return ()

    def act(self, weights: Any, memory: Any, observation: Any) -> tuple[Judgement, tuple[()]]:
        which = observation[0].astype(jnp.int32)
        return Judgement(Ratios(weights[0, which]), weights[1, which]), memory


def _told(mask: list[bool]) -> ppo.Batch:
    steps = jnp.arange(4, dtype=jnp.float32)[:, None]
    nothing = jnp.zeros((4, 1), jnp.float32)
    advantage = jnp.array([[1.0], [1.0], [-1.0], [-1.0]], jnp.float32)
    counted = jnp.array(mask)[:, None]
    return ppo.Batch(steps[..., None], counted, counted, nothing, nothing, nothing, advantage, ())


def test_the_clipped_loss_by_hand() -> None:
    """Ratios 1.5, 0.5 of good steps (clipped to 1.2; kept) and of bad ones (kept; clipped to 0.8)."""
    ratios, values = jnp.array([1.5, 0.5, 1.5, 0.5], jnp.float32), jnp.array([1.0, 0, 0, -0.5], jnp.float32)
    weights = jnp.stack([jnp.log(ratios), values])
    knobs = Knobs(clip=0.2, value=0.5, entropy=0.1)
    find = partial(ppo.loss, Told(), knobs)
    value, figures = find(False, weights, _told([True] * 4))
    gain = (1.2 + 0.5 - 1.5 - 0.8) / 4
    missed = (0 + 1 + 1 + 0.25) / 4
    assert float(figures["gain"]) == pytest.approx(gain, rel=1e-6)
    assert float(value) == pytest.approx(0.5 * missed - gain - 0.1 * 0.25, rel=1e-6)
    # Clipped values, 0.2 and -0.2, miss the targets of 1 and -1 by 0.8 and that is worse.
    _, figures = find(True, weights, _told([True] * 4))
    assert float(figures["value_loss"]) == pytest.approx((0.8**2 + 1 + 1 + 0.8**2) / 4, rel=1e-6)

    slopes = jax.grad(lambda w: find(False, w, _told([True] * 4))[0])(weights)
    np.testing.assert_allclose(slopes[0], [0, -0.5 / 4, 1.5 / 4, 0], atol=1e-6)


def test_policies_are_the_textbook_ones() -> None:
    policy = Gaussian(jnp.array([0.5, -1.0], jnp.float32), jnp.log(jnp.array([2.0, 0.5], jnp.float32)))
    action = jnp.array([1.0, -1.5], jnp.float32)
    wanted = jax.scipy.stats.norm.logpdf(action, policy.mean, jnp.array([2.0, 0.5], jnp.float32)).sum()
    np.testing.assert_allclose(policy.log_prob(action), wanted, rtol=1e-6)
    many = Gaussian(*(jnp.broadcast_to(leaf, (20_000, 2)) for leaf in policy))
    drawn = many.choose(many.noise(jax.random.key(0)))
    np.testing.assert_allclose(policy.entropy(), -many.log_prob(drawn).mean(), rtol=0.02)
    choice = Categorical(jnp.log(jnp.array([0.2, 0.8], jnp.float32)) + 3)
    np.testing.assert_allclose(jnp.exp(choice.log_prob(jnp.array(1))), 0.8, rtol=1e-6)
    np.testing.assert_allclose(choice.entropy(), -(0.2 * np.log(0.2) + 0.8 * np.log(0.8)), rtol=1e-6)
    often = Categorical(jnp.broadcast_to(choice.logits, (20_000, 2)))
    drawn = often.choose(often.noise(jax.random.key(0)))
    assert abs(float(drawn.mean()) - 0.8) < 0.015  # five standard errors


def test_moments_are_those_of_all_that_counted() -> None:
    rng = np.random.default_rng(0)
    values, mask = rng.normal(5, 3, (30, 4, 2)).astype(np.float32), rng.random((30, 4)) < 0.6
    moments = Moments.none((2,))
    for part in (slice(0, 7), slice(7, 30)):
        moments = moments.merge(jnp.asarray(values[part]), jnp.asarray(mask[part]))
    moments = moments.merge(jnp.asarray(values), jnp.zeros_like(mask))
    np.testing.assert_allclose(moments.mean, values[mask].mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.variance, values[mask].var(0), rtol=1e-5)

    brain = MLP((2, 3, 1))
    layers = brain.init(jax.random.key(0))
    seen = jnp.asarray(values[0, 0])
    standard = Standardised(brain, (2,)).act((moments, layers), (), seen)[0]
    np.testing.assert_allclose(brain.act(fold(moments, layers), (), seen)[0], standard, rtol=1e-4)

    # What never varied counts for nothing when it does, however its mean was rounded.
    still = Moments.none((2,)).merge(jnp.full((10**5, 2), 0.1, jnp.float32), jnp.ones(10**5, bool))
    assert (still.standard(jnp.array([0.1, 5.0], jnp.float32)) == 0).all()


def test_the_kernel_plays_what_was_folded() -> None:
    """The actor of an `ActorCritic` in the native kernel: the greedy actions of the learner, walk for walk.

    Its weights are those of a walker that can walk, put into standard units.
    """
    course, episodes, which = Course.flat(), np.arange(32), np.zeros(32, int)
    walking = MLP().unflatten(trained())
    rng = np.random.default_rng(0)
    seen = rng.normal(0.3, rng.uniform(0.3, 1, 24), (500, 24)).astype(np.float32)
    moments = Moments.none((24,)).merge(jnp.asarray(seen), jnp.ones(500, bool))
    (matrix, bias), *rest = walking
    standard = (matrix / moments.scale[:, None], bias + moments.mean @ matrix), *rest

    brain = ActorCritic(24, 4, hidden=(40, 40), continuous=True)
    learner = PPO(brain, (24,))
    state = _fresh(learner)
    state = replace(state, seen=moments, weights=state.weights._replace(actor=standard))
    folded = fold(state.seen, state.weights.actor)

    greedy = Greedy(learner.player)
    wanted = greedy.act(learner.playing(state), (), seen)[0]
    np.testing.assert_allclose(brain.actor.act(folded, (), seen)[0], wanted, rtol=1e-4, atol=1e-4)
    played = kernel.rollout(
        np.tile(flatten(folded), (32, 1)), [course], which, episodes,
        sizes=brain.actor.sizes, activations=("tanh", "tanh", "identity"),
    )  # fmt: skip
    evaluate = evaluator(NativeWalker(), greedy, 2000, batch=32)
    walked = evaluate(np.tile(flatten(learner.playing(state)), (32, 1)), [course], which, episodes)
    assert played.finished.all() and walked.finished.all()
    # The pushes in the first step are drawn in two ways; each mean has a standard error of 0.1.
    assert played.returns.mean() == pytest.approx(walked.returns.mean(), abs=1)


@pytest.mark.parametrize(
    ("world", "name", "steps"),
    [(CartPole(), "CartPole-v1", 60), (Acrobot(), "Acrobot-v1", 80), (Pendulum(), "Pendulum-v1", 60)],
)
def test_worlds_are_gymnasiums(world: Any, name: str, steps: int) -> None:
    """The same view from the same state, a step at a time, so that chaos has no time to grow."""
    theirs: Any = gymnasium.make(name).unwrapped
    theirs.reset(seed=1)
    step, rng, ends = jax.jit(world.step), np.random.default_rng(0), 0
    state, _ = world.reset(jax.random.key(0), None)
    for _ in range(steps):
        discrete = isinstance(theirs.action_space, gymnasium.spaces.Discrete)
        action = rng.integers(theirs.action_space.n) if discrete else rng.normal(0, 2, 1).astype(np.float32)
        state = state._replace(body=jnp.asarray(theirs.state, jnp.float32))
        state, view = step(None, state, jnp.asarray(action, jnp.int32 if discrete else jnp.float32), None)
        observation, reward, terminated, _, _ = theirs.step(action)
        np.testing.assert_allclose(view.observation, observation, rtol=1e-4, atol=1e-5)
        assert float(view.reward) == pytest.approx(float(reward), rel=1e-4)
        assert bool(view.terminated) == terminated
        if terminated:
            theirs.reset()
            ends += 1
    assert ends > 0 or name != "CartPole-v1"
    limit = gymnasium.spec(name).max_episode_steps
    assert limit is not None
    _, view = step(
        None,
        state._replace(body=state.body * 0, time=jnp.int32(limit - 1)),
        jnp.zeros(1 if name == "Pendulum-v1" else (), jnp.float32 if name == "Pendulum-v1" else jnp.int32),
        None,
    )
    assert view.truncated and not view.terminated


@dataclass(frozen=True)
class Same:
    """One state, reward 1 a step, over after `last` steps by its rules or by the clock."""

    last: int
    by_clock: bool

    def reset(self, key: Any, course: Any) -> tuple[Any, View]:
        return jnp.int32(0), View(jnp.ones(1), jnp.float32(0), jnp.asarray(False), jnp.asarray(False))

    def step(self, key: Any, state: Any, action: Any, course: Any) -> tuple[Any, View]:
        over = state + 1 >= self.last
        return state + 1, View(jnp.ones(1), jnp.float32(1), over & (not self.by_clock), over & self.by_clock)


def _compiled(function: Any, *given: Any) -> Any:
    """`function` for arguments like these, compiled without spending long on it."""
    return jax.jit(function).lower(*given).compile(compiler_options={"xla_backend_optimization_level": 0})


def _enter(world: Any, learner: PPO, courses: Any) -> Any:
    key = jax.random.key(2)
    return _compiled(lambda key: enter(world, learner.player, key, courses), key)(key)


def _fresh(learner: PPO) -> Any:
    key = jax.random.key(1)
    return learner.init(key, _compiled(learner.brain.init, key)(key))


def _trained(
    world: Any, brain: ActorCritic, config: Config, knobs: Knobs, rows: int, steps: int, updates: int
) -> tuple[PPO, Any, Any, Any]:
    """State, stage and metrics [updates] after so much training from a fixed seed."""
    learner, courses = PPO(brain, (brain.observations,), config), jnp.zeros(rows)

    def train(key: Any) -> Any:
        begin, play, learn = jax.random.split(key, 3)
        start = learner.init(key, brain.init(begin)), enter(world, learner.player, play, courses)

        def once(now: tuple, key: Any) -> tuple:
            state, stage = now
            state, stage, metrics = learner.update(world, knobs, key, state, stage, courses, steps)
            return (state, stage), metrics

        return jax.lax.scan(once, start, jax.random.split(learn, updates))

    key = jax.random.key(0)
    (state, stage), metrics = _compiled(train, key)(key)
    return learner, state, stage, metrics


@pytest.mark.parametrize(("by_clock", "worth"), [(True, 10.0), (False, 1.0)])
def test_an_episode_cut_short_is_worth_what_would_have_come(by_clock: bool, worth: float) -> None:
    """Reward 1 a step at a discount of 0.9. Cut by the clock it is worth 10 in every state; terminated after
    one step, 1."""
    world = Same(7 if by_clock else 1, by_clock)
    brain = ActorCritic(1, 2, hidden=(8,))
    learner, state, _, _ = _trained(
        world, brain, Config(standardise=False), Knobs(rate=1e-2, discount=0.9), 8, 16, 60
    )
    judged, _ = learner.player.act(learner.playing(state), (), jnp.ones(1))
    assert float(judged.value) == pytest.approx(worth, rel=0.03)


def test_collecting_follows_the_episodes() -> None:
    """Every environment begins anew by itself, with its memory; returns and what followed are as by hand."""
    brain = ActorCritic(1, 2, hidden=(4,), recurrent=3)
    learner = PPO(brain, (1,))
    world = Same(3, True)
    weights = learner.playing(_fresh(learner))
    stage = _enter(world, learner, jnp.zeros(2))
    stage, seen = _compiled(
        lambda stage: collect(world, learner.player, weights, jax.random.key(3), stage, jnp.zeros(2), 7, 0.5),
        stage,
    )(stage)
    np.testing.assert_array_equal(seen.begun[:, 0], [1, 0, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(seen.truncated[:, 0], [0, 0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(seen.total[:, 0], [1, 2, 3, 1, 2, 3, 1])
    np.testing.assert_allclose(seen.discounted[:, 0], [1, 1.5, 1.75, 1, 1.5, 1.75, 1])
    # The same observation all along: values differ by what is remembered alone.
    value = np.asarray(seen.value[:, 0])
    np.testing.assert_allclose(value[3:6], value[:3], rtol=1e-6)
    assert len(set(value[:3].tolist())) == 3
    np.testing.assert_allclose(seen.following[:2, 0], value[1:3], rtol=1e-6)
    memory = brain.begin()
    for _ in range(4):
        judged, memory = brain.act(weights[1], memory, jnp.ones(1))
    np.testing.assert_allclose(seen.following[2, 0], judged.value, rtol=1e-5)


@pytest.mark.parametrize(
    "brain", [ActorCritic(3, 2, hidden=(4,), recurrent=5), Associative(3, 2, 2, units=5, slots=4, chunk=4)]
)
def test_all_steps_at_once_are_the_steps_one_by_one_and_so_are_their_gradients(brain: Any) -> None:
    """Memories from before, and episodes that begin within a sequence, which is no whole number of chunks."""
    rows, steps = 6, 9
    keys = jax.random.split(jax.random.key(0), 4)
    weights = jax.jit(brain.init)(keys[0])
    numbers = np.random.default_rng(0)  # none of them negative, as some are counts
    memory = jax.tree.map(lambda leaf: jnp.float32(numbers.random((rows, *leaf.shape))), brain.begin())
    batch = ppo.Batch(
        observation=jax.random.normal(keys[1], (rows, steps, 3)),
        begun=jax.random.bernoulli(keys[2], 0.3, (rows, steps)),
        mask=jnp.ones((rows, steps), bool),
        action=jnp.zeros((rows, steps), jnp.int32),
        log_prob=jnp.full((rows, steps), -0.7),
        value=jnp.zeros((rows, steps)),
        advantage=jax.random.normal(keys[3], (rows, steps)),
        memory=memory,
    )

    class OneByOne:
        init, begin, act = brain.init, brain.begin, brain.act

    def slopes(brain: Any) -> Any:
        def lost(weights: Any, memory: Any, seen: Any) -> Any:
            asked = batch._replace(memory=memory, observation=seen)
            return ppo.loss(brain, ppo.Knobs(entropy=0.1), False, weights, asked)[0]

        return jax.jit(jax.value_and_grad(lost, (0, 1, 2)))(weights, memory, batch.observation)

    ours, theirs = slopes(brain), slopes(OneByOne())
    assert min(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(ours) if leaf.size) > 1e-6
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), ours, theirs)


def test_what_was_played_is_what_is_replayed() -> None:
    """Before the first step of learning all ratios are 1: memory, resets and units are those of the play."""
    world, courses = CartPole(velocities=False), jnp.zeros(4)
    brain = ActorCritic(2, 2, hidden=(8,), recurrent=4)
    learner = PPO(brain, (2,), Config(epochs=1, minibatches=1))
    state, stage = _fresh(learner), _enter(world, learner, courses)

    def once(state: Any, stage: Any) -> Any:
        def play(state: Any, key: Any, stage: Any) -> Any:
            return collect(world, learner.player, learner.playing(state), key, stage, courses, 30)

        first, last = jax.random.split(jax.random.key(5))
        stage, seen = play(state, first, stage)
        state = replace(state, seen=state.seen.merge(seen.observation, seen.mask))
        _, seen = play(state, last, stage)
        return stage, seen, learner.learn(None, last, state, seen)[1]

    stage, seen, metrics = _compiled(once, state, stage)(state, stage)
    assert seen.begun[1:].any() and np.abs(stage.memory[0]).max() > 0
    assert abs(float(metrics["kl"])) < 1e-6 and float(metrics["clipped"]) == 0


@dataclass(frozen=True)
class Two:
    """CartPole for two agents side by side; the second takes part only where the course says so."""

    pole: CartPole

    def reset(self, key: Any, course: Any) -> tuple[Any, View]:
        states, view = jax.vmap(self.pole.reset, (0, None))(jnp.stack([key, key]), None)
        return (states, jnp.stack([jnp.asarray(True), course > 0])), view

    def step(self, key: Any, state: Any, action: Any, course: Any) -> tuple[Any, View]:
        states, present = state
        states, view = jax.vmap(self.pole.step, (None, 0, 0, None))(key, states, action, None)
        return (states, present & ~(view.terminated | view.truncated)), view

    def present(self, state: Any) -> Any:
        return state[1]


def test_masked_agents_change_nothing() -> None:
    """The gradient, the moments and the figures are the same whatever absent agents saw, did and got."""
    brain, courses = ActorCritic(4, 2, hidden=(8,)), jnp.array([0.0, 1.0, 1.0])
    learner = PPO(brain, (4,), Config(minibatches=1, epochs=2, scale_rewards=True))
    state = _fresh(learner)
    stage = _enter(Two(CartPole()), learner, courses)
    assert stage.mask.tolist() == [True, False, True, True, True, True]
    play = _compiled(
        lambda: collect(
            Two(CartPole()), learner.player, learner.playing(state), jax.random.key(3), stage, courses, 80
        )
    )
    _, seen = play()
    absent = ~np.asarray(seen.mask)
    assert absent[:, 1].all() and absent[:, 3].any() and not absent[:, 3].all()
    ends = np.asarray(seen.terminated)
    assert not ends[absent].any() and ends[:, 1:].any()

    def other(leaf: Any) -> Any:
        hidden = absent.reshape(absent.shape + (1,) * (leaf.ndim - 2))
        return jnp.where(hidden, jnp.asarray(7).astype(leaf.dtype) % 2, leaf)

    changed = seen._replace(
        **{
            name: other(getattr(seen, name))
            for name in ("observation", "action", "log_prob", "value", "following", "total", "discounted")
        },
        reward=jnp.where(absent, 99, seen.reward),
    )
    learn = _compiled(partial(learner.learn, None, jax.random.key(4)), state, seen)
    one, figures = learn(state, seen)
    two, others = learn(state, changed)
    jax.tree.map(np.testing.assert_array_equal, (one, figures), (two, others))
    assert not np.array_equal(flatten(one.weights), flatten(state.weights))


def test_memory_is_learnt_and_cannot_be_done_without() -> None:
    """No policy without memory expects more than 0 of `Recall`; with an LSTM PPO comes to 1."""
    world, knobs = Recall(4), Knobs(rate=3e-3, entropy=0.01)
    for recurrent, least, most in ((16, 0.9, 1.0), (0, -0.2, 0.2)):
        brain = ActorCritic(3, 2, hidden=(16,), recurrent=recurrent)
        _, _, _, metrics = _trained(world, brain, Config(epochs=4, standardise=False), knobs, 32, 25, 80)
        # Of about 1,300 episodes, so that even an even chance has a standard error of 0.03.
        assert least <= float(metrics["return"][-10:].mean()) <= most


@pytest.mark.parametrize(
    ("world", "brain", "knobs", "least"),
    [
        (CartPole(), ActorCritic(4, 2), Knobs(rate=1e-3), 300.0),
        (Pendulum(), ActorCritic(3, 1, continuous=True), Knobs(rate=1e-3, discount=0.9), -600.0),
    ],
)
def test_it_learns(world: Any, brain: ActorCritic, knobs: Knobs, least: float) -> None:
    """CartPole from 20, Pendulum from -1,200."""
    config = Config(minibatches=16, standardise=False)
    _, _, _, metrics = _trained(world, brain, config, knobs, 8, 400, 20)
    assert float(metrics["return"][0]) < least - 200 < least < float(metrics["return"][-1])


def test_curves_agree_within_the_spread_of_the_seeds() -> None:
    """Means 10 and 13: within one deviation of theirs, then two errors of the difference, then neither."""
    mine, theirs = [[9.0, 6.0, 10.0], [11.0, 14.0, 10.0]], [[9.0, 12.5, 13.0], [17.0, 13.5, 13.0]]
    gaps = benchmark.apart(mine, theirs)
    assert [gap["apart"] for gap in gaps] == [-3, -3, -3]
    assert [gap["agree"] for gap in gaps] == [True, True, False]
    # Nothing ended in the third tenth: the last known is carried on.
    assert benchmark.binned([1, 10, 11, 31], [1.0, 3.0, 5.0, 7.0], 100)[:5] == [2, 5, 5, 7, 7]


@pytest.mark.proof
@pytest.mark.parametrize("world", [NativeWalker(), WalkerWorld()])
def test_a_walker_learns_to_walk(world: Any) -> None:
    """From nothing to a return of 300 on flat ground, greedily on the JAX walker, nearly all to the end."""
    brain, rows, updates = ActorCritic(24, 4, continuous=True, deviation=0.5), 128, 150
    learner = PPO(brain, (24,), Config(minibatches=16, scale_rewards=True))
    flat = Course.flat()
    courses = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (rows, *np.shape(leaf))), flat)
    update = jax.jit(
        lambda knobs, key, state, stage: learner.update(world, knobs, key, state, stage, courses, 256)
    )
    evaluate = evaluator(WalkerWorld(), Greedy(learner.player), 2000, batch=40)
    state = _fresh(learner)
    stage, mean, finished = _enter(world, learner, courses), 0.0, 0.0
    for now in range(updates):
        knobs = Knobs(rate=jnp.float32(3e-4 * (1 - now / updates)))
        state, stage, metrics = update(knobs, jax.random.key(now), state, stage)
        if float(metrics["return"]) > 200 and now % 10 == 9:
            flat_weights = np.tile(flatten(learner.playing(state)), (40, 1))
            played = evaluate(flat_weights, [flat], np.zeros(40, int), np.arange(40))
            mean, finished = float(played.returns.mean()), float(played.finished.mean())
            print(f"{(now + 1) * rows * 256:,} steps: {mean:.1f}, {finished:.0%} to the end")
            if mean >= 300 and finished >= 0.95:
                break
    assert mean >= 300 and finished >= 0.95


def test_the_native_walker_is_the_kernel() -> None:
    """The same bytes as `kernel.step`'s, step by step, for walkers on different courses; it begins as the JAX
    walker, and the clock cuts it."""
    rough = Course.from_heights(10 / 3 + 0.1 * np.sin(np.arange(200)))
    courses = [Course.flat(), rough]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(replace(c, genes=Genes()) for c in courses))
    world, keys = NativeWalker(max_steps=40), jax.random.split(jax.random.key(0), 2)
    states, view = jax.jit(jax.vmap(world.reset))(keys, stacked)
    _, wanted = jax.jit(jax.vmap(WalkerWorld().reset))(keys, stacked)
    jax.tree.map(np.testing.assert_array_equal, view, wanted)
    step, rng = jax.jit(jax.vmap(world.step, (None, 0, 0, 0))), np.random.default_rng(1)
    numbers = np.asarray(states.numbers)
    for now in range(40):
        action = rng.uniform(-1, 1, (2, 4)).astype(np.float32)
        states, view = step(None, states, jnp.asarray(action), stacked)
        done = kernel.step(numbers, action, courses, np.arange(2))
        numbers = done.state
        assert not done.terminated.any()
        np.testing.assert_array_equal(view.truncated, [now == 39] * 2)
        got = states.numbers, view.observation, view.reward, view.terminated, states.finished
        jax.tree.map(np.testing.assert_array_equal, got, tuple(done))


def test_bad_numbers_are_named() -> None:
    with pytest.raises(ValueError, match=r"^epochs: at least 1, not 0$"):
        Config(epochs=0)
    with pytest.raises(ValueError, match=r"^discount: at least 0, at most 1, not 1.5$"):
        Knobs(discount=1.5)
    with pytest.raises(ValueError, match=r"^recurrent: at least 0, not -1$"):
        ActorCritic(1, 1, recurrent=-1)
    with pytest.raises(ValueError, match=r"^deviation: greater than 0, not 0$"):
        ActorCritic(1, 1, deviation=0)
    with pytest.raises(ValueError, match=r"^minibatches: a divisor of 24 sequences, not 5"):
        _trained(CartPole(), ActorCritic(4, 2), Config(minibatches=5), Knobs(), 4, 6, 1)


@pytest.mark.parametrize("apart", [True, False])
def test_rows_spread_over_shards_teach_what_all_together_do(
    apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a single minibatch of all rows; each shard on a device of its own, and both on one."""
    world, rows, courses = CartPole(velocities=False), 6, jnp.zeros(6)
    brain = ActorCritic(2, 2, hidden=(8,), recurrent=4)
    config, knobs = Config(epochs=2, minibatches=1, scale_rewards=True), Knobs(rate=0.01, entropy=0.1)
    learner = PPO(brain, (2,), config)
    state, stage = _fresh(learner), _enter(world, learner, courses)
    key = jax.random.key(5)
    _, seen = jax.jit(
        lambda: collect(world, learner.player, learner.playing(state), key, stage, courses, 20)
    )()
    # Some count for nothing, so that the shards' parts of a mean differ.
    seen = seen._replace(mask=seen.mask & (jnp.arange(rows) != 1))
    whole, figures = jax.jit(learner.learn)(knobs, key, state, seen)

    if apart:
        assert len(jax.devices()) > 1
    else:
        monkeypatch.setattr(jax, "devices", lambda: [None])

    def part(state: Any, seen: Any) -> Any:
        mine = jax.lax.axis_index(AXIS) * (rows // 2) + jnp.arange(rows // 2)
        some = seen._replace(memory=None)
        some = jax.tree.map(lambda leaf: leaf[:, mine], some)
        some = some._replace(memory=jax.tree.map(lambda leaf: leaf[mine], seen.memory))
        return replace(learner, across=(AXIS,)).learn(knobs, key, state, some)

    parted, told = jax.jit(spread(part, 2))(state, seen)
    assert not np.allclose(whole.weights.memory[0], state.weights.memory[0], atol=1e-3)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), (whole, figures), (parted, told)
    )


def test_every_minibatch_has_its_own_units() -> None:
    """Learning is one step of Adam after the other on the loss of each minibatch by itself."""
    world, courses, key = CartPole(velocities=False), jnp.zeros(3), jax.random.key(2)
    learner = PPO(ActorCritic(2, 2, hidden=(4,), recurrent=3), (2,), Config(epochs=1, minibatches=3))
    knobs = Knobs(rate=0.01)
    state, stage = _fresh(learner), _enter(world, learner, courses)
    _, seen = jax.jit(
        lambda: collect(world, learner.player, learner.playing(state), key, stage, courses, 30)
    )()
    learnt, _ = jax.jit(learner.learn)(knobs, key, state, seen)

    @jax.jit
    def step(weights: Any, adam: Any, row: Any) -> Any:
        ended = seen.terminated | seen.truncated
        come = ppo.advantages(seen.reward, seen.value, seen.following, ended, 0.99, 0.95)
        minibatch = jax.tree.map(lambda leaf: leaf[row][None], learner._batch(seen, come))
        lost = partial(ppo.loss, learner.brain, knobs, False)
        slope, _ = jax.grad(lost, has_aux=True)(weights, minibatch)
        with jax.numpy_dtype_promotion("standard"):
            stride, adam = learner._adam.update(slope, adam)
        return jax.tree.map(lambda weight, change: weight - 0.01 * change, weights, stride), adam

    weights, adam = state.weights, state.adam
    for row in jax.random.permutation(jax.random.split(key, 1)[0], 3):
        weights, adam = step(weights, adam, row)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), learnt.weights, weights)
