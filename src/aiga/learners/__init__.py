"""How a brain is taught."""
