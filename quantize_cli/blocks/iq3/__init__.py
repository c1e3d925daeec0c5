"""IQ3 types: groups of four weights from grids."""
