"""Pre-training a small AST on procedural sounds, from which no recording is needed to hear something."""
