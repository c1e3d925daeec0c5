"""How rows become blocks: the reference's own search, and what knows the model."""
