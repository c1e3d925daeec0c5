"""Encodings of weights: a checkpoint whose tensors are packed, wrapped as a checkpoint of weights."""
