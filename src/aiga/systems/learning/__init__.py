"""Systems that learn how to learn."""
