"""IQ2 types: groups of eight weights from grids."""
