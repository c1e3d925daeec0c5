"""IQ1 types: groups of eight weights from a grid of ternary patterns."""
