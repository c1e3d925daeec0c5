"""Texts that are made when they are needed: computed from a seed, or taken from Python's own library."""
