"""The two-legged walker of Gymnasium's BipedalWalker, on courses that are data."""
