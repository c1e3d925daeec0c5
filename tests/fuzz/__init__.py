"""Damaged inputs of every kind, thousands a minute: each is refused in one sentence, or becomes a file that loads."""
