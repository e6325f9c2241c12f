"""The papers' control experiments, one command each: `aiga experiment NAME`."""

from aiga.experiments import adapting, anml, controls, few_shot, memory, programs

EXPERIMENTS = (
    controls.EXPERIMENTS
    | programs.EXPERIMENTS
    | few_shot.EXPERIMENTS
    | adapting.EXPERIMENTS
    | anml.EXPERIMENTS
    | memory.EXPERIMENTS
)
