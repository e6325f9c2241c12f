"""The space of courses of Enhanced POET: a small network paints the ground.

Wang, Lehman, Rawal, Zhi, Li, Clune, Stanley 2020, "Enhanced POET", arXiv 2003.08536, section 4.1: a
compositional pattern-producing network (Stanley 2007) takes the place along the course and gives its height;
NEAT (Stanley and Miikkulainen 2002) mutates it. Nothing bounds what it can express. Activations and rates are
those of the published configuration.

Three things differ from the published code, on purpose. There a course is checked on the network's answers
between -1 and 1 and painted from those between -pi and pi: here both are -pi to pi. There a course that only
goes down has no height at all and is refused, and nothing bounds how deep it goes: here the farthest from the
start counts, up or down. There links come from splitting others alone: here they are added too, as in NEAT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aiga.worlds.walker.course import BASE, CELLS, CPPN, PAD, Course, Link, Node
from aiga.worlds.walker.space import generator

# Steeper than their names say, as in NEAT-Python, which the paper works with.
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda z: z,
    "sin": lambda z: np.sin(5 * z),
    "sigmoid": lambda z: 1 / (1 + np.exp(-np.clip(5 * z, -60, 60))),
    "square": lambda z: z * z,
    "tanh": lambda z: np.tanh(2.5 * z),
}
INPUT, OUTPUT = -1, 0
LARGEST = 10.0  # weight or bias
POINTS = 24  # of a description
START = CPPN((Node(OUTPUT, "identity", 0.0),), (Link(INPUT, OUTPUT, 0.0),))


@dataclass(frozen=True)
class CPPNSpace:
    """Courses painted by a network. The first eight numbers are the chances and sizes of a mutation, the last
    two bound how far, in metres, the ground gets from the height it starts at."""

    add_node: float = 0.1
    delete_node: float = 0.075
    add_link: float = 0.1
    change: float = 0.75  # of one weight or one bias
    power: float = 0.1  # standard deviation of that change
    lowest: float = 0.25
    highest: float = 16.0

    def __post_init__(self) -> None:
        for name in ("add_node", "delete_node", "add_link", "change"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: must lie within 0 and 1, not {getattr(self, name)!r}")
        if self.add_node + self.delete_node + self.add_link > 1:
            raise ValueError("add_node, delete_node, add_link: must not come to more than 1 together")
        if not self.change * self.power > 0:
            raise ValueError("change, power: must both be above 0")
        if not 0 < 4 * self.lowest <= self.highest <= 100:
            raise ValueError("highest: must be at least 4 times lowest, at most 100, and lowest above 0")

    @property
    def first(self) -> Course:
        """Level ground, painted by a network whose only weight is zero."""
        return paint(START)

    def sample(self, key: Any) -> Course:
        """A course twenty mutations away from level ground."""
        random, item = generator(key), self.first
        for seed in random.randint(2**31 - 1, size=20):
            item = self.mutate(int(seed), item)
        return item

    def mutate(self, key: Any, item: Course) -> Course:
        """A child: at most one change of structure, most weights and biases a little different.

        Where the ground would be too level or too high the whole course is scaled, as in the published code;
        a child does not inherit the scale.
        ValueError for a course that no network painted.
        """
        if not isinstance(item.genes, CPPN):
            raise ValueError("course.genes: must be a CPPN's")
        random = generator(key)
        while True:
            genes = self._nudged(random, self._restructured(random, replace(item.genes, scale=1.0)))
            far = float(np.abs(_relief(genes)).max())
            if not np.isfinite(far) or far == 0:
                continue
            if far < self.lowest:
                genes = replace(genes, scale=random.uniform(1, 3) * self.lowest / far)
            elif far > self.highest:
                genes = replace(genes, scale=random.uniform(0.75, 1) * self.highest / far)
            return paint(genes)

    def describe(self, item: Course) -> np.ndarray:
        """f32[24]: heights above the start, in metres, at places evenly apart."""
        heights = np.append(item.left, item.right[-1])
        places = np.linspace(PAD, CELLS, POINTS + 1)[1:]
        return (np.interp(places, np.arange(CELLS + 1), heights) - BASE).astype(np.float32)

    def valid(self, item: Course) -> bool:
        """Painted by its network, within the bounds; level ground is valid too, as every run begins there."""
        if not isinstance(item.genes, CPPN):
            return False
        try:
            course, painted = item.check(), paint(item.genes)
        except ValueError:
            return False
        if not (np.array_equal(course.left, painted.left) and np.array_equal(course.right, painted.right)):
            return False
        far = float(np.abs(_relief(item.genes)).max())
        return far == 0 or self.lowest * 0.999 <= far <= self.highest * 1.001

    def _restructured(self, random: np.random.RandomState, genes: CPPN) -> CPPN:
        chance = random.uniform()
        if chance < self.add_node:
            return _with_node(random, genes)
        if chance < self.add_node + self.delete_node:
            return _without_node(random, genes)
        if chance < self.add_node + self.delete_node + self.add_link:
            return _with_link(random, genes)
        return genes

    def _nudged(self, random: np.random.RandomState, genes: CPPN) -> CPPN:
        def moved(value: float) -> float:
            change = random.normal(0, self.power) if random.uniform() < self.change else 0.0
            return float(np.clip(value + change, -LARGEST, LARGEST))

        links = tuple(replace(link, weight=moved(link.weight)) for link in genes.links)
        return replace(
            genes, links=links, nodes=tuple(replace(node, bias=moved(node.bias)) for node in genes.nodes)
        )


def paint(genes: CPPN) -> Course:
    """The course of a network; ValueError where its heights are not those of a course."""
    return Course.from_heights(BASE + _relief(genes), genes=genes)


def activate(genes: CPPN, x: np.ndarray) -> np.ndarray:
    """The network's output f64[T] at places f64[T]."""
    values = {INPUT: np.asarray(x, float)}
    nodes = {node.id: node for node in genes.nodes}
    for place in _order(genes):
        total = sum(
            (k.weight * values[k.source] for k in genes.links if k.target == place), 0.0 * values[INPUT]
        )
        values[place] = ACTIVATIONS[nodes[place].activation](total + nodes[place].bias)
    return values[OUTPUT]


def _relief(genes: CPPN) -> np.ndarray:
    """Heights f64[C + 1] above the start; the course runs from -pi to pi in the network's eyes."""
    with np.errstate(over="ignore", invalid="ignore"):
        height = genes.scale * activate(genes, np.linspace(-np.pi, np.pi, CELLS + 1))
        return np.where(np.arange(CELLS + 1) < PAD, 0.0, height - height[PAD])


def _order(genes: CPPN) -> list[int]:
    """Nodes, each after those it hears; ValueError where links run in a circle."""
    order: list[int] = []
    waiting = [node.id for node in genes.nodes]
    while waiting:
        ready = [n for n in waiting if not any(k.target == n and k.source in waiting for k in genes.links)]
        if not ready:
            raise ValueError("course.genes: links must not run in a circle")
        order += ready
        waiting = [n for n in waiting if n not in ready]
    return order


def _with_node(random: np.random.RandomState, genes: CPPN) -> CPPN:
    """A node in the middle of a link; what it changes comes from its activation alone."""
    at = random.randint(len(genes.links))
    old = genes.links[at]
    new = Node(1 + max(n.id for n in genes.nodes), _any(random, list(ACTIVATIONS)), 0.0)
    halves = Link(old.source, new.id, 1.0), Link(new.id, old.target, old.weight)
    return replace(
        genes, nodes=(*genes.nodes, new), links=(*genes.links[:at], *genes.links[at + 1 :], *halves)
    )


def _without_node(random: np.random.RandomState, genes: CPPN) -> CPPN:
    """One hidden node less, where the output still hears the input without it."""
    hidden = [node.id for node in genes.nodes if node.id != OUTPUT]
    if not hidden:
        return genes
    gone = _any(random, hidden)
    links = tuple(link for link in genes.links if gone not in (link.source, link.target))
    if OUTPUT not in _heard(links, INPUT):
        return genes
    return replace(genes, nodes=tuple(node for node in genes.nodes if node.id != gone), links=links)


def _with_link(random: np.random.RandomState, genes: CPPN) -> CPPN:
    """A link between two that have none, never back."""
    there = {(link.source, link.target) for link in genes.links}
    sources = [INPUT, *(node.id for node in genes.nodes)]
    able = [
        (a, b.id)
        for a in sources
        for b in genes.nodes
        if a not in {b.id, OUTPUT} and (a, b.id) not in there and a not in _heard(genes.links, b.id)
    ]
    if not able:
        return genes
    source, target = _any(random, able)
    return replace(genes, links=(*genes.links, Link(source, target, float(random.normal(0, 0.25)))))


def _heard(links: Sequence[Link], source: int) -> set[int]:
    """All that hears `source`, directly or through others."""
    found, edge = set(), {source}
    while edge:
        edge = {link.target for link in links if link.source in edge} - found
        found |= edge
    return found


def _any(random: np.random.RandomState, choices: Sequence[Any]) -> Any:
    return choices[random.randint(len(choices))]
