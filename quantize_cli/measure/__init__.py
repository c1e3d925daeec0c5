"""How far decoded weights are from the source's."""
