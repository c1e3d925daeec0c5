"""Types with blocks of 32 weights and no sub-blocks."""
