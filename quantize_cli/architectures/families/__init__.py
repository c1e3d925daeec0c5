"""One file a family, and the table of all."""
