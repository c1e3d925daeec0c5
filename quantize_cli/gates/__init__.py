"""Gates: limits on size and error that a run must keep, and what became of each."""
