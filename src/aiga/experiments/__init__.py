"""The papers' control experiments, one command each: `aiga experiment NAME`."""

from aiga.experiments import anml, controls, memory, programs

EXPERIMENTS = controls.EXPERIMENTS | programs.EXPERIMENTS | anml.EXPERIMENTS | memory.EXPERIMENTS
