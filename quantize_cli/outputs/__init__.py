"""Destinations of the output: files that appear only when all are complete, or a stream."""
