"""What is known of a model from headers alone, as one value."""
