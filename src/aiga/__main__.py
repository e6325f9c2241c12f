"""`python -m aiga` is the command `aiga`."""

from aiga.cli import program

program()
