"""K types: super-blocks of 256 weights, whose sub-blocks have quantized scales."""
