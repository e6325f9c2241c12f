"""Programs that learn: what AutoML-Zero evolves, written down, run and bred.

Real, Liang, So, Le 2020, "AutoML-Zero: Evolving Machine Learning Algorithms From Scratch", arXiv 2003.03384.
`ops` has the 65 operations and `Program`, `interpreter` says in NumPy what a program computes, `kernel` runs
many fast, `traced` runs them in JAX and alone imports it, `evolution` is regularised evolution, `known` has
the paper's reference programs.
"""
