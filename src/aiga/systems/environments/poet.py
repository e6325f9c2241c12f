"""POET and Enhanced POET: environments and the agents that solve them, inventing each other.

Wang, Lehman, Clune, Stanley 2019, "Paired Open-Ended Trailblazer (POET): Endlessly Generating Increasingly
Complex and Diverse Learning Environments and Their Solutions", arXiv 1901.01753. `POET.step` is one iteration
of its main loop (Algorithm 2), `reproduce` its MUTATE_ENVS (Algorithm 3) and `candidates` its
EVALUATE_CANDIDATES.

Wang, Lehman, Rawal, Zhi, Li, Clune, Stanley 2020, "Enhanced POET: Open-Ended Reinforcement Learning through
Unbounded Invention of Learning Challenges and their Solutions", arXiv 2003.08536, differs in three functions:
the space (any will do), the novelty (`performance_novelty`, its PATA-EC) and the transfer rule
(`recent_best`). Its ANNECS is the metric `annecs`. docs/poet.md says where the published code differs from
the papers, and what was chosen.

All episodes of one kind in an iteration are played by one call of `evaluate`, so that lanes and threads stay
full. Axis letters: K things compared, E evaluation episodes, N weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args

import jax
import numpy as np

from aiga.interfaces import Array, Brain, Evaluate, Event, Space
from aiga.learners import evolution_strategy as es
from aiga.play import Arena, evaluation_seeds, flatten
from aiga.searches.minimal_criterion import MinimalCriterion
from aiga.searches.novelty import nearest_distance, performance_ranks

C = TypeVar("C")  # a course: an item of the space
Kind = Literal["description", "performance"]
Rule = Literal["best", "recent-best", "none"]
UNBORN = -1  # the id of an environment that is not admitted yet
RECENT = 5  # self-evaluations of an agent that Enhanced POET's transfer rule looks back on


@dataclass(frozen=True)
class Config:
    """POET's numbers; the defaults are the paper's. ValueError, naming the field, for one out of range."""

    capacity: int = 20  # active environments; beyond it the oldest is archived
    reproduce_every: int = 200  # iterations
    reproduce_score: float = 200.0  # a parent's least score
    children: int = 8  # tried in one reproduction
    admit: int = 1  # of them at most
    minimal_low: float = 50.0  # least score of a new environment, before and after transfer
    minimal_high: float = 300.0  # its highest
    nearest: int = 5  # neighbours that novelty is measured to
    transfer_every: int = 25  # iterations
    fine_tuned: int = 20  # sources per target that are tried after one step of learning too, best first
    episodes: int = 5  # of one evaluation, each on its own seed
    solve_score: float = 230.0  # with every episode finished
    confirm: int = 10  # more episodes, on other seeds, that a solution must pass
    heir_steps: int = 0  # of its schedule, skipped by the learner of an agent that moves in
    novelty: Kind = "description"  # of courses, or of who does well on them
    transfer: Rule = "best"  # what a candidate must beat, if any may move
    batch: int = 8192  # episodes in one call of `evaluate`; bounds memory
    es: es.Config = field(default_factory=es.Config)

    def __post_init__(self) -> None:
        counts = ("capacity", "reproduce_every", "children", "admit", "nearest", "transfer_every", "episodes")
        for name, least in [(name, 1) for name in (*counts, "batch")] + [
            ("fine_tuned", 0),
            ("confirm", 0),
            ("heir_steps", 0),
        ]:
            if not getattr(self, name) >= least:
                raise ValueError(f"{name}: at least {least}, not {getattr(self, name)!r}")
        for name in ("reproduce_score", "minimal_low", "minimal_high", "solve_score"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"{name}: a finite number, not {getattr(self, name)!r}")
        for name, allowed in (("novelty", Kind), ("transfer", Rule)):
            if getattr(self, name) not in get_args(allowed):
                names = ", ".join(get_args(allowed))
                raise ValueError(f"{name}: one of {names}, not {getattr(self, name)!r}")
        if self.transfer == "recent-best" and not self.fine_tuned:
            raise ValueError("fine_tuned: at least 1 where transfer is recent-best, not 0")
        if self.minimal_low > self.minimal_high:
            raise ValueError(
                f"minimal_low: at most minimal_high, {self.minimal_high}, not {self.minimal_low}"
            )


@dataclass(frozen=True)
class Pair(Generic[C]):
    """An active environment and the agent paired with it."""

    id: int
    parent: int | None
    born: int  # iteration
    course: C
    learner: es.State
    score: float = -np.inf  # mean return of the last evaluation
    finished: float = 0.0  # share of its episodes that reached the end
    solved: bool = False
    new: bool = False  # when it came, no agent that ever lived found it too easy, and one not too hard
    recent: tuple[float, ...] = ()  # its agent's last scores, the present one at the end
    candidate: int | None = None  # the offer it came from, where it came from outside

    @property
    def agent(self) -> Array:
        return self.learner.weights


@dataclass(frozen=True)
class Archived(Generic[C]):
    """An environment that made room for a younger one, and its last agent."""

    id: int
    course: C
    agent: Array  # f32[N]
    score: float
    solved: bool
    new: bool


@dataclass(frozen=True)
class Offer(Generic[C]):
    """A course from outside that waits for the next reproduction."""

    id: int  # of the candidate
    parent: int | None  # id of the environment it was drawn from
    course: C


@dataclass(frozen=True)
class State(Generic[C]):
    """All of POET between two iterations; pairs and archive from the oldest to the youngest."""

    iteration: int
    born: int  # environments so far, and the next one's id
    steps: int  # of all episodes so far
    transfers: int  # accepted so far
    best_transfer: float  # the largest gain of one
    active: tuple[Pair[C], ...]
    archive: tuple[Archived[C], ...] = ()
    memory: tuple[Array, ...] = ()  # what the novelty keeps of the archive
    offered: tuple[Offer[C], ...] = ()


class Candidate(NamedTuple):
    """An agent tried in an environment that is not its own."""

    source: int  # id of the pair it comes from
    kind: Literal["direct", "fine-tuned"]
    agent: Array  # f32[N]
    score: float
    finished: float


class TransferRule(NamedTuple):
    """Who is tried in a target, who is fine-tuned for it and who moves in. A new environment is a target of
    score -inf that no agent was evaluated in yet."""

    invite: Callable[[Pair, Sequence[Pair]], Sequence[Pair]]  # of all pairs, those whose agents are tried
    tune: Callable[[Pair, Sequence[Candidate]], Sequence[int]]  # of the direct candidates, the places of some
    choose: Callable[[Pair, Sequence[Candidate]], Candidate | None]


# K courses to their novelty f64[K], and the state's next memory.
Novelty = Callable[[Sequence[Any], State, Arena], tuple[np.ndarray, tuple[Array, ...]]]


def best_candidate(fine_tuned: int) -> TransferRule:
    """The paper's rule: the best candidate, if it beats the incumbent. It fine-tunes all sources; here the
    `fine_tuned` best direct ones. Ties go to the first, NaN loses to everything."""

    def tune(target: Pair, candidates: Sequence[Candidate]) -> Sequence[int]:
        return _descending([candidate.score for candidate in candidates])[:fine_tuned]

    return TransferRule(_others, tune, lambda target, candidates: _best_above(target.score, candidates))


def recent_best(fine_tuned: int) -> TransferRule:
    """Enhanced POET's rule: the bar is the incumbent's best of its last five scores; a direct candidate that
    passes it is fine-tuned, and the best fine-tuned one that passes it too moves in. A new environment takes
    the best of all."""

    def bar(target: Pair) -> float:
        return max((score for score in target.recent if not np.isnan(score)), default=-np.inf)

    def tune(target: Pair, candidates: Sequence[Candidate]) -> Sequence[int]:
        places = _descending([candidate.score for candidate in candidates])
        return [place for place in places if candidates[place].score > bar(target)][:fine_tuned]

    def choose(target: Pair, candidates: Sequence[Candidate]) -> Candidate | None:
        able = [each for each in candidates if target.id == UNBORN or each.kind == "fine-tuned"]
        return _best_above(bar(target), able)

    return TransferRule(_others, tune, choose)


def no_transfer() -> TransferRule:
    """The papers' control: a new environment keeps the agent it begins with, and no agent ever moves."""

    def invite(target: Pair, pairs: Sequence[Pair]) -> Sequence[Pair]:
        owners = [pair for pair in pairs if np.array_equal(pair.agent, target.agent)]
        return owners[:1] if target.id == UNBORN else []

    return TransferRule(invite, lambda *_: [], lambda target, given: _best_above(target.score, given))


def description_novelty(space: Space, nearest: int) -> Novelty:
    """POET's: mean distance of descriptors to the nearest of all environments ever admitted."""

    def novelty(courses: Sequence[Any], state: State, arena: Arena) -> tuple[np.ndarray, tuple[Array, ...]]:
        known = [space.describe(each.course) for each in (*state.active, *state.archive)]
        found = nearest_distance([space.describe(course) for course in courses], known, nearest)
        return found, state.memory

    return novelty


def performance_novelty(low: float, high: float, nearest: int) -> Novelty:
    """Enhanced POET's PATA-EC, performance of all transferred agents: what an environment is like is the
    order in which it puts all agents, active and archived.

    Every agent plays one episode, always of one and the same seed, so that an archived agent's score in an
    archived environment is known for good. Memory i, f64[2i + 1], has the scores in archived environment i of
    the archived agents 0 to i, then those of agent i in environments 0 to i - 1.
    """
    seeds = evaluation_seeds(jax.random.key(0, impl="threefry2x32"), 1)

    def novelty(courses: Sequence[Any], state: State, arena: Arena) -> tuple[np.ndarray, tuple[Array, ...]]:
        agents = [*state.archive, *state.active]
        grounds = [*(each.course for each in agents), *courses]
        known, archived = len(state.memory), len(state.archive)
        scores = np.zeros((len(grounds), len(agents)))
        for i, kept in enumerate(state.memory):
            scores[i, : i + 1], scores[:i, i] = kept[: i + 1], kept[i + 1 :]
        asked = [(e, a) for e, a in np.ndindex(scores.shape) if max(e, a) >= known]
        played = arena.score([agents[a].agent for _, a in asked], [grounds[e] for e, _ in asked], seeds)
        for place, (score, _) in zip(asked, played, strict=True):
            scores[place] = score
        ranks = performance_ranks(scores, low, high)
        found = nearest_distance(ranks[len(agents) :], ranks[: len(agents)], nearest)
        new = (np.append(scores[i, : i + 1], scores[:i, i]) for i in range(known, archived))
        return found, (*state.memory, *new)

    return novelty


class POET(Generic[C]):
    """The system; starts from `first`, by default a sample of the space.

    `novelty` and `transfer` take the place of the rules that `config` names.
    """

    def __init__(
        self,
        config: Config,
        space: Space[C],
        brain: Brain,
        evaluate: Evaluate,
        *,
        first: C | None = None,
        novelty: Novelty | None = None,
        transfer: TransferRule | None = None,
    ) -> None:
        self.config, self.space, self.brain, self.evaluate, self.first = config, space, brain, evaluate, first
        self.es = es.EvolutionStrategy(config.es)
        self.criterion = MinimalCriterion(config.minimal_low, config.minimal_high)
        self.novelty = (
            novelty
            or {
                "description": description_novelty(space, config.nearest),
                "performance": performance_novelty(config.minimal_low, config.minimal_high, config.nearest),
            }[config.novelty]
        )
        self.rule = (
            transfer
            or {
                "best": best_candidate(config.fine_tuned),
                "recent-best": recent_best(config.fine_tuned),
                "none": no_transfer(),
            }[config.transfer]
        )

    def init(self, key: jax.Array) -> State[C]:
        """One pair: the first environment and a random agent."""
        course_key, brain_key = jax.random.split(key)
        course = self.space.sample(course_key) if self.first is None else self.first
        learner = self._learner(flatten(self.brain.init(brain_key)))
        return State(0, 1, 0, 0, 0.0, (Pair(0, None, 0, course, learner),))

    def step(self, key: jax.Array, state: State[C]) -> tuple[State[C], list[Event]]:
        """One iteration. Everything random comes from `key`; `state` is left as it is."""
        config, now, log = self.config, state.iteration, []
        seeds, reproduction, learning, transfers, proof = jax.random.split(key, 5)
        arena = Arena(self.evaluate, config.batch, evaluation_seeds(seeds, config.episodes))
        if now == 0:
            state = self._first_birth(state, arena, log)
        if now > 0 and now % config.reproduce_every == 0:
            state = self.reproduce(reproduction, state, arena, log)
        state = self.learn(learning, state, arena)
        if len(state.active) > 1 and now % config.transfer_every == 0:
            state = self.transfer(transfers, state, arena, log)
        state = self.solve(proof, state, arena, log)
        state = replace(state, iteration=now + 1, steps=state.steps + arena.steps)
        return state, log + _report(state)

    def offer(self, state: State[C], id: int, parent: int | None, data: dict[str, Any]) -> State[C]:
        """`state` with a course from outside, candidate `id`, that joins the children of the next
        reproduction. `data` is what the space's `adopt` takes. Raises ValueError, naming what is wrong."""
        adopt = getattr(self.space, "adopt", None)
        if adopt is None:
            raise ValueError("the courses of this run are of a space that takes none from outside")
        course = adopt(data)
        if not self.space.valid(course):
            raise ValueError("course: not one of this run's space")
        return replace(state, offered=(*state.offered, Offer(id, parent, course)))

    def reproduce(self, key: jax.Array, state: State[C], arena: Arena, log: list[Event]) -> State[C]:
        """Children of able parents, and what was offered; of those that meet the minimal criterion, the most
        novel are admitted."""
        children = self._children(key, state, arena, log)
        courses = [child.course for child, _ in children]
        novelty, memory = self.novelty(courses, state, arena) if courses else ([], state.memory)
        waiting = [children[place] for place in _descending(novelty)]
        admitted: list[Pair[C]] = []
        while waiting and len(admitted) < self.config.admit:
            # As many together as may still be admitted: the paper's one by one, in fuller batches.
            room = self.config.admit - len(admitted)
            tried, waiting = [child for child, _ in waiting[:room]], waiting[room:]
            key, learning = jax.random.split(key)
            offered = self.candidates(learning, tried, state.active, arena)
            for child, offers in zip(tried, offered, strict=True):
                best = self.rule.choose(child, offers)
                verdict = self.criterion.judge(best.score) if best else "too hard"
                if best is None or verdict:
                    log.append(_rejection(child, verdict, "after", best.score if best else None))
                else:
                    child = replace(
                        child, id=state.born + len(admitted), new=self._new(child, best, state, arena)
                    )
                    admitted.append(self._settle(child, best))
                    log.append(_birth(admitted[-1], self.space))
        log += [_rejection(child, "no room", "before", score) for child, score in waiting]

        active = (*state.active, *admitted)
        leaving = max(0, len(active) - self.config.capacity)
        gone = tuple(Archived(p.id, p.course, p.agent, p.score, p.solved, p.new) for p in active[:leaving])
        log += [Event("extinction", {"id": old.id, "agent": old.agent, "score": old.score}) for old in gone]
        born = state.born + len(admitted)
        archive = state.archive + gone
        return replace(state, born=born, active=active[leaving:], archive=archive, memory=memory, offered=())

    def _new(self, child: Pair[C], best: Candidate, state: State[C], arena: Arena) -> bool:
        """Whether all agents so far, those of the archive too, find the child neither too hard nor too easy:
        Enhanced POET's condition for ANNECS, where what is admitted has to please the active ones alone."""
        archived = [old.agent for old in state.archive]
        scores = [score for score, _ in arena.score(archived, [child.course] * len(archived))]
        return self.criterion.judge(float(np.nanmax([best.score, *scores]))) is None

    def _children(
        self, key: jax.Array, state: State[C], arena: Arena, log: list[Event]
    ) -> list[tuple[Pair[C], float]]:
        """What was offered and mutants, with the score of the agent each begins with where it is fit."""
        children: list[Pair[C]] = []
        taken = [self.space.describe(pair.course) for pair in state.active]
        for child in [*self._offered(state, arena), *self._mutants(key, state)]:
            if not self.space.valid(child.course):
                log.append(_rejection(child, "invalid", "before", None))
            elif any(np.array_equal(self.space.describe(child.course), known) for known in taken):
                log.append(_rejection(child, "not novel", "before", None))
            else:
                taken.append(self.space.describe(child.course))
                children.append(child)

        fit = []
        scores = arena.score([child.agent for child in children], [child.course for child in children])
        for child, (score, _) in zip(children, scores, strict=True):
            if verdict := self.criterion.judge(score):
                log.append(_rejection(child, verdict, "before", score))
            else:
                fit.append((child, score))
        return fit

    def _mutants(self, key: jax.Array, state: State[C]) -> Iterator[Pair[C]]:
        """Children of able parents drawn at random; each begins with its parent's agent."""
        parents = [pair for pair in state.active if pair.score >= self.config.reproduce_score]
        for birth in jax.random.split(key, self.config.children) if parents else ():
            pick, mutation = jax.random.split(birth)
            parent = parents[int(jax.random.randint(pick, (), 0, len(parents)))]
            course = self.space.mutate(mutation, parent.course)
            yield Pair(UNBORN, parent.id, state.iteration, course, self._heir(parent.agent))

    def _offered(self, state: State[C], arena: Arena) -> Iterator[Pair[C]]:
        """What was offered; each begins with the active agent that does best on it."""
        agents = [pair.agent for pair in state.active]
        courses = [offer.course for offer in state.offered for _ in agents]
        scores = [score for score, _ in arena.score(agents * len(state.offered), courses)]
        for offer, row in zip(state.offered, np.reshape(scores, (-1, len(agents))), strict=True):
            heir = self._heir(agents[_descending(row)[0]])
            child = Pair(UNBORN, offer.parent, state.iteration, offer.course, heir)
            yield replace(child, candidate=offer.id)

    def learn(self, key: jax.Array, state: State[C], arena: Arena) -> State[C]:
        """One step of the evolution strategy for every pair, and its new agent's score."""
        courses = [pair.course for pair in state.active]
        learners = self._taught(key, [pair.learner for pair in state.active], courses, arena)
        scores = arena.score([learner.weights for learner in learners], courses)
        active = [
            replace(pair, learner=learner, **_scored(pair.recent, score, finished))
            for pair, learner, (score, finished) in zip(state.active, learners, scores, strict=True)
        ]
        return replace(state, active=tuple(active))

    def transfer(self, key: jax.Array, state: State[C], arena: Arena, log: list[Event]) -> State[C]:
        """Every agent is tried in every other environment; all that move do so at the same moment."""
        active, gains = [], []
        offered = self.candidates(key, state.active, state.active, arena)
        for pair, offers in zip(state.active, offered, strict=True):
            best = self.rule.choose(pair, offers)
            if best is None:
                active.append(pair)
                continue
            gains.append(best.score - pair.score)
            active.append(self._settle(pair, best))
            log.append(_transfer(pair, best))
        best_gain = max([gain for gain in gains if np.isfinite(gain)], default=0.0)
        return replace(
            state,
            active=tuple(active),
            transfers=state.transfers + len(gains),
            best_transfer=max(state.best_transfer, best_gain),
        )

    def candidates(
        self, key: jax.Array, targets: Sequence[Pair[C]], sources: Sequence[Pair[C]], arena: Arena
    ) -> list[list[Candidate]]:
        """Per target: all other agents as they are, then some after one step of the target's learner."""
        offers: list[list[Candidate]] = [[] for _ in targets]
        routes = [(t, s) for t, target in enumerate(targets) for s in self.rule.invite(target, sources)]
        scores = arena.score([source.agent for _, source in routes], [targets[t].course for t, _ in routes])
        for (t, source), score in zip(routes, scores, strict=True):
            offers[t].append(Candidate(source.id, "direct", source.agent, *score))

        tuned = [(t, offers[t][i]) for t, each in enumerate(targets) for i in self.rule.tune(each, offers[t])]
        courses = [targets[t].course for t, _ in tuned]
        starts = [replace(targets[t].learner, weights=offer.agent) for t, offer in tuned]
        agents = [learner.weights for learner in self._taught(key, starts, courses, arena)]
        for (t, offer), agent, score in zip(tuned, agents, arena.score(agents, courses), strict=True):
            offers[t].append(Candidate(offer.source, "fine-tuned", agent, *score))
        return offers

    def solve(self, key: jax.Array, state: State[C], arena: Arena, log: list[Event]) -> State[C]:
        """Environments passed for the first time; on other seeds once more, as these ones were waited for."""
        hopeful = [p for p in state.active if not p.solved and self._passes(p.score, p.finished)]
        scores = [(pair.score, pair.finished) for pair in hopeful]
        if self.config.confirm:
            others = evaluation_seeds(key, self.config.confirm)
            scores = arena.score([pair.agent for pair in hopeful], [pair.course for pair in hopeful], others)
        solved = {p.id: score[0] for p, score in zip(hopeful, scores, strict=True) if self._passes(*score)}
        agents = {pair.id: pair.agent for pair in hopeful}
        log += [Event("solve", {"id": n, "score": score, "agent": agents[n]}) for n, score in solved.items()]
        active = [replace(pair, solved=pair.solved or pair.id in solved) for pair in state.active]
        return replace(state, active=tuple(active))

    def _passes(self, score: float, finished: float) -> bool:
        return score >= self.config.solve_score and finished == 1

    def _taught(
        self, key: jax.Array, learners: Sequence[es.State], courses: Sequence[C], arena: Arena
    ) -> list[es.State]:
        return self.es.generation(key, learners, courses, arena.play, self.config.batch)

    def _learner(self, agent: Array) -> es.State:
        return jax.device_get(self.es.init(jax.random.key(0), agent))

    def _heir(self, agent: Array) -> es.State:
        return replace(self._learner(agent), steps=self.config.heir_steps)

    def _settle(self, pair: Pair[C], best: Candidate) -> Pair[C]:
        """The candidate takes the environment over; its learner starts afresh, as in the published code."""
        return replace(pair, learner=self._heir(best.agent), **_scored((), best.score, best.finished))

    def _first_birth(self, state: State[C], arena: Arena, log: list[Event]) -> State[C]:
        (pair,) = state.active
        ((score, finished),) = arena.score([pair.agent], [pair.course])
        pair = replace(pair, **_scored((), score, finished))
        log.append(_birth(pair, self.space))
        return replace(state, active=(pair,))


def _scored(recent: tuple[float, ...], score: float, finished: float) -> dict[str, Any]:
    """The fields of a pair that an evaluation of its agent sets; `recent` are the agent's scores before."""
    return {"score": score, "finished": finished, "recent": (*recent, score)[-RECENT:]}


def _others(target: Pair, pairs: Sequence[Pair]) -> Sequence[Pair]:
    return [pair for pair in pairs if pair.id != target.id]


def _best_above(bar: float, candidates: Sequence[Candidate]) -> Candidate | None:
    best = _descending([bar, *(candidate.score for candidate in candidates)])[0]
    return candidates[best - 1] if best > 0 else None


def _descending(scores: Sequence[float] | np.ndarray) -> list[int]:
    """Places from the highest score to the lowest; ties in order, NaN last."""
    scores = np.asarray(scores, np.float64)
    return np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable").tolist()


def _birth(pair: Pair, space: Space) -> Event:
    described = {"course": pair.course, "description": np.asarray(space.describe(pair.course)).tolist()}
    data = {"id": pair.id, "parent": pair.parent, **described, "score": pair.score, "agent": pair.agent}
    return Event("birth", data | _origin(pair))


def _rejection(child: Pair, reason: str | None, stage: str, score: float | None) -> Event:
    data = {"parent": child.parent, "course": child.course, "reason": reason, "stage": stage, "score": score}
    return Event("rejection", data | _origin(child))


def _origin(pair: Pair) -> dict[str, int]:
    return {} if pair.candidate is None else {"candidate": pair.candidate}


def _transfer(pair: Pair, best: Candidate) -> Event:
    data = {"source": best.source, "target": pair.id, "kind": best.kind, "gain": best.score - pair.score}
    return Event("transfer", {**data, "score": best.score, "agent": best.agent})


def _report(state: State) -> list[Event]:
    every = (*state.active, *state.archive)
    counts = {
        "steps": state.steps,
        "active": len(state.active),
        "archived": len(state.archive),
        "solved": sum(each.solved for each in every),
        "annecs": sum(each.solved and each.new for each in every),
        "transfers": state.transfers,
        "best_transfer": state.best_transfer,
    }
    scores = [
        {"id": pair.id, "score": pair.score, "finished": pair.finished, "agent": pair.agent}
        for pair in state.active
    ]
    return [*(Event("score", score) for score in scores), Event("metric", counts)]
