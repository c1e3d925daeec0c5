"""Block types: arrays in, bytes out. Nothing here knows files or names of tensors."""
