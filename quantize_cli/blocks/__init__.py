"""Block types: arrays in, bytes out. Nothing in here knows files or tensor names."""
