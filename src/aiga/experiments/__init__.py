"""The papers' control experiments, one command each: `aiga experiment NAME`."""

from aiga.experiments import adapting, anml, controls, memory, programs

EXPERIMENTS = (
    controls.EXPERIMENTS | programs.EXPERIMENTS | adapting.EXPERIMENTS | anml.EXPERIMENTS | memory.EXPERIMENTS
)
