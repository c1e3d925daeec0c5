"""Texts to calibrate on and to measure on: their kinds, which document serves for what, and their tokens."""
