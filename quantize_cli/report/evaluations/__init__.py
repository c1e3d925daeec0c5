"""Evaluations as terminal, JSON, Markdown and HTML."""
