"""Types of 4-bit floats."""
