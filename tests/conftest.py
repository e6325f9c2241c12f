"""Every test runs on the CPU, with JAX at its strictest about mixing number types."""

import os

# Before anything imports JAX: it reads these once.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
# Gymnasium's drawing opens a window and prints a greeting otherwise.
os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
