"""One run: the loop that drives a system, the store that loses nothing, and the sinks that look on."""
