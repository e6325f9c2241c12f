"""An agent made by aiga. Needs NumPy and the file weights.safetensors beside this one, nothing else.

    from policy import act
    action = act(observation)

`python policy.py` walks one episode of Gymnasium's BipedalWalker-v3, where that is installed.
"""

import functools
import json
from pathlib import Path

import numpy as np

ACTIVATIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "identity": lambda x: x}


@functools.cache
def load():
    """The layers, (weight f32[in, out], bias f32[out]) each, and the file's metadata."""
    data = Path(__file__).with_name("weights.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    about = header.pop("__metadata__")
    tensors = {
        name: np.frombuffer(data[start:][slice(*tensor["data_offsets"])], "<f4").reshape(tensor["shape"])
        for name, tensor in header.items()
    }
    layers = [(tensors[f"layers.{i}.weight"], tensors[f"layers.{i}.bias"]) for i in range(len(tensors) // 2)]
    return layers, about


def act(observation):
    """Observation f32[..., in] to action f32[..., out]."""
    layers, about = load()
    signal = np.asarray(observation, np.float32)
    for weight, bias in layers[:-1]:
        signal = ACTIVATIONS[about["activation"]](signal @ weight + bias)
    weight, bias = layers[-1]
    return ACTIVATIONS[about["output"]](signal @ weight + bias)


if __name__ == "__main__":
    import gymnasium

    world = gymnasium.make("BipedalWalker-v3")
    observation, _ = world.reset(seed=0)
    total, over = 0.0, False
    while not over:
        observation, reward, terminated, truncated, _ = world.step(act(observation))
        total, over = total + float(reward), terminated or truncated
    print(f"return {total:.1f}")
