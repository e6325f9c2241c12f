"""Systems that make the worlds their brains learn in."""
