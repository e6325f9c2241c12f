"""One run on disk: the loop that drives a system, and the store that loses nothing."""
