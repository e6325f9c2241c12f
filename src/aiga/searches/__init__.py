"""How new things are found."""
