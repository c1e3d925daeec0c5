"""Searches for scales and levels that several block types share."""
