"""AI-generating algorithms: programs that make their own brains, their own teachers and their own worlds."""
