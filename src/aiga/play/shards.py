"""One computation on several devices: its rows are spread over shards, which sum what all have to know.

On a CPU, XLA computes a scan of small steps on one core, however many there are. A program for several
devices of its own (`JAX_NUM_CPU_DEVICES`) takes as many cores. How many shards there are is part of the
computation; on how many devices they are changes the rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, PartitionSpec

AXIS = "shard"  # for `jax.lax.psum` and its kin within what is spread


def spread(function: Callable[..., Any], shards: int) -> Callable[..., Any]:
    """`function` as one computation of `shards` shards, to be jitted.

    All of them get the same arguments, know themselves by `jax.lax.axis_index(AXIS)`, and have to come to the
    same, which only `vmap` checks. Each is on a device of its own where there are as many, else all are on
    one.
    """
    devices = jax.devices()
    if shards > len(devices):
        return jax.vmap(function, None, None, axis_name=AXIS, axis_size=shards)
    mesh = jax.make_mesh((shards,), (AXIS,), axis_types=(AxisType.Auto,), devices=devices[:shards])
    everywhere = PartitionSpec()
    # With `check_vma` the gradient of what all shards share would be summed already, which vmap's is not.
    return jax.shard_map(function, mesh=mesh, in_specs=everywhere, out_specs=everywhere, check_vma=False)


def summed(parts: Any, across: tuple[str, ...] = (AXIS,)) -> Any:
    """A pytree of what each shard has come to, summed over all: at once, as shards wait for each other."""
    flat, back = ravel_pytree(parts)
    return back(jax.lax.psum(flat, across))
