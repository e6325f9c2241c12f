"""The papers' control experiments, one command each: `aiga experiment NAME`."""
