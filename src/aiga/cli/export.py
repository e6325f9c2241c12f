"""An agent out of its run: weights by layer in a safetensors file, and a policy that needs NumPy alone."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np

from aiga.brains.layers import split
from aiga.registry import Policy


def export(weights: np.ndarray, policy: Policy, folder: Path, about: dict[str, str]) -> list[Path]:
    """Writes `weights.safetensors` and `policy.py` into `folder`; returns both paths.

    `weights` f32[N] are those of every layer in turn: W[in, out] row by row, then b[out]. `about` goes into
    the file's metadata. Raises ValueError when N does not fit the policy's sizes.
    """
    from safetensors.numpy import save

    tensors: dict[str, np.ndarray] = {}
    for layer, (matrix, bias) in enumerate(split(weights, policy.sizes)):
        tensors |= {f"layers.{layer}.weight": matrix, f"layers.{layer}.bias": bias}
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {**about, "activation": policy.activation, "output": policy.output}
    files = [folder / "weights.safetensors", folder / "policy.py"]
    files[0].write_bytes(save(tensors, metadata))
    files[1].write_bytes((resources.files("aiga.cli") / "policy.py").read_bytes())
    return files
