"""Procedural sounds to pre-train on: families by kind of physics, then what a recording does to them."""
