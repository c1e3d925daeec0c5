"""Calibrations as terminal, Markdown and HTML: what is sensitive, which channels are extreme, what was hardly seen."""
