"""An agent out of its run: weights by layer in a safetensors file, and a policy that needs NumPy alone."""

from __future__ import annotations

from importlib import resources
from itertools import pairwise
from pathlib import Path

import numpy as np

from aiga.registry import Policy


def export(weights: np.ndarray, policy: Policy, folder: Path, about: dict[str, str]) -> list[Path]:
    """Writes `weights.safetensors` and `policy.py` into `folder`; returns both paths.

    `weights` f32[N] are those of every layer in turn: W[in, out] row by row, then b[out]. `about` goes into
    the file's metadata. Raises ValueError when N does not fit the policy's sizes.
    """
    from safetensors.numpy import save

    tensors: dict[str, np.ndarray] = {}
    at = 0
    for layer, (rows, columns) in enumerate(pairwise(policy.sizes)):
        for name, shape in (("weight", (rows, columns)), ("bias", (columns,))):
            count = int(np.prod(shape))
            tensors[f"layers.{layer}.{name}"] = weights[at : at + count].reshape(shape)
            at += count
    if at != weights.size:
        raise ValueError(f"weights: {at} numbers for layers of {tuple(policy.sizes)}, not {weights.size}")
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {**about, "activation": policy.activation, "output": policy.output}
    files = [folder / "weights.safetensors", folder / "policy.py"]
    files[0].write_bytes(save(tensors, metadata))
    files[1].write_bytes((resources.files("aiga.cli") / "policy.py").read_bytes())
    return files
