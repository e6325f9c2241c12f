"""One file per published system: its outer loop, readable beside the paper."""
