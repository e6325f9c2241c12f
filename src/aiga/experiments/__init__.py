"""The papers' control experiments, one command each: `aiga experiment NAME`."""

from aiga.experiments import controls, memory, programs

EXPERIMENTS = controls.EXPERIMENTS | programs.EXPERIMENTS | memory.EXPERIMENTS
