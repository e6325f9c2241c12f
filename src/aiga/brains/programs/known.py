"""The paper's reference programs, in instructions: what a search begins with or is measured against."""

from __future__ import annotations

from dataclasses import replace

from aiga.brains.programs.ops import Program, Sizes


def linear(rate: float = 0.01) -> Program:
    """A linear regressor, taught by gradient descent. Needs 4 scalars and 3 vectors."""
    return Program.of(
        setup=[("s constant", 2, rate)],
        predict=[("v dot", 1, 0, 1)],  # weights v1
        learn=[
            ("s subtract", 0, 1, 3),
            ("s multiply", 2, 3, 3),
            ("s times v", 3, 0, 2),
            ("v add", 1, 2, 1),
        ],
    )


def network(rate: float = 0.01, hidden: float = 0.1, output: float = 0.1) -> Program:
    """Two layers with biases and a rectifier, taught by backpropagation.

    `hidden` and `output` are the deviations of the weights at first. Needs 5 scalars, 9 vectors, 2 matrices.
    """
    return Program.of(
        setup=[("v gaussian", 2, 0.0, output), ("m gaussian", 0, 0.0, hidden), ("s constant", 3, rate)],
        predict=[
            ("m times v", 0, 0, 3),
            ("v add", 3, 1, 3),  # bias v1
            ("v maximum", 3, 5, 4),  # v5 stays 0
            ("v dot", 4, 2, 1),
            ("s add", 1, 2, 1),  # bias s2
        ],
        learn=[
            ("s subtract", 0, 1, 4),
            ("s multiply", 3, 4, 4),
            ("s add", 2, 4, 2),
            ("s times v", 4, 2, 7),  # with the weights that made the prediction
            ("s times v", 4, 4, 6),
            ("v add", 2, 6, 2),
            ("v heaviside", 3, 8),
            ("v multiply", 8, 7, 7),
            ("v add", 1, 7, 1),
            ("v outer", 7, 0, 1),
            ("m add", 0, 1, 0),
        ],
    )


def room(sizes: Sizes) -> Sizes:
    """`sizes`, or as much more memory as the network needs."""
    return replace(
        sizes,
        scalars=max(sizes.scalars, 5),
        vectors=max(sizes.vectors, 9),
        matrices=max(sizes.matrices, 2),
    )


def constant(value: float = 0.0) -> Program:
    """Predicts one number. The least that a search has to beat."""
    return Program.of(setup=[("s constant", 1, value)])
