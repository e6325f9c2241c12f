"""Systems that make brains: their wiring, or how they learn."""
