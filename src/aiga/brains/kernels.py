"""Kernels of ours that XLA calls."""

from __future__ import annotations

import warnings
from functools import cache
from types import ModuleType

import jax


@cache
def taken(module: ModuleType) -> bool:
    """Whether XLA takes the kernel of a native module, built for one of about the same age; warns if not.

    Its handlers are then known by the module's name and their own: aiga_lstm_forward.
    """
    try:
        # Before there is a backend XLA puts the question off, and if the answer is no it starts none.
        jax.devices("cpu")
    except RuntimeError:
        return False
    for name, handler in module.handlers().items():
        try:
            jax.ffi.register_ffi_target(
                module.__name__.replace("._", "_") + f"_{name}", handler, platform="cpu"
            )
        except RuntimeError as error:
            warnings.warn(f"{module.__name__}: slower than it could be, as {error}", stacklevel=2)
            return False
    return True
