"""One way to store a vocabulary a file."""
