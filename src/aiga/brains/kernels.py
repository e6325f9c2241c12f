"""Kernels of ours that XLA calls."""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module

import jax


@cache
def taken(name: str) -> bool:
    """Whether XLA takes the kernel of the native module `_name`, built for one of about the same age; warns
    if not. Its handlers are then known by both names, as aiga_lstm_forward."""
    try:
        # Before there is a backend XLA puts the question off, and if the answer is no it starts none.
        jax.devices("cpu")
    except RuntimeError:
        return False
    for handler, code in import_module(f"aiga._{name}").handlers().items():
        try:
            jax.ffi.register_ffi_target(f"aiga_{name}_{handler}", code, platform="cpu")
        except (RuntimeError, ValueError) as error:
            warnings.warn(f"{name}: slower than it could be, as XLA does not take it: {error}", stacklevel=2)
            return False
    return True
