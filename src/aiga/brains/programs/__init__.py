"""Programs that learn: what AutoML-Zero evolves, written down, run and bred. Without JAX.

Real, Liang, So, Le 2020, "AutoML-Zero: Evolving Machine Learning Algorithms From Scratch", arXiv 2003.03384.
`ops` has the 65 operations and `Program`, `interpreter` says in NumPy what a program computes, `kernel` runs
many fast, `evolution` is regularised evolution, `known` has the paper's reference programs.
"""
