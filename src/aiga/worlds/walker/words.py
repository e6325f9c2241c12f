"""A course in plain words."""

from __future__ import annotations

import numpy as np

from aiga.worlds.walker.course import CELL, FRICTION, Course, Genes


def in_words(course: Course) -> str:
    """Its obstacles and their sizes in metres, as in "gaps up to 0.6 m, stairs of 5 steps up to 0.3 m, rough
    ground", then slope, ground and load, as in "on a slope of 5 degrees, soft ground (3 cm)"."""
    return ", ".join([*_obstacles(course), *_ground(course)]) or "level ground"


def _obstacles(course: Course) -> list[str]:
    genes = course.genes
    if not isinstance(genes, Genes):
        both = np.concatenate([course.left, course.right])
        return [
            f"painted by a network of {len(genes.nodes)} nodes, {np.ptp(both):.1f} m from lowest to highest"
        ]
    found = []
    if genes.stump_height != (0, 0):
        found.append(f"stumps {_sizes(genes.stump_height)}")
    if genes.gap_width != (0, 0):
        found.append(f"gaps {_sizes(genes.gap_width)}")
    if genes.step_height != (0, 0) and genes.steps:
        stairs = f"stairs of {genes.steps} steps" if genes.steps > 1 else "single steps"
        found.append(f"{stairs} {_sizes(genes.step_height)}")
    if genes.roughness > 0:
        how = "slightly uneven" if genes.roughness < 1 else "rough" if genes.roughness < 3 else "very rough"
        found.append(f"{how} ground")
    return found


def _ground(course: Course) -> list[str]:
    found = []
    if course.slope:
        found.append(f"on a slope of {np.rad2deg(course.slope):.2g} degrees")
    if course.softness:
        found.append(f"soft ground ({100 * course.softness:.2g} cm)")
    if course.friction != FRICTION:
        how = "slippery" if course.friction < FRICTION else "gripping"
        found.append(f"{how} (friction {course.friction:.2g})")
    if course.load:
        found.append(f"with a load of {course.load:.2g} kg")
    return found


def _sizes(pair: tuple[float, float]) -> str:
    low, high = pair[0] * CELL, pair[1] * CELL
    return f"up to {high:.1f} m" if low < 0.05 else f"of {low:.1f} to {high:.1f} m"
