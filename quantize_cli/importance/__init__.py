"""Importance matrices."""
