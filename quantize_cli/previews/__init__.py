"""What a run would write and take, known from headers alone."""
