"""What the kernels' bytes are held against: the reference library, and slow scalar twins."""
