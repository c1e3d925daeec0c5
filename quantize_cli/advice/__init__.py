"""Which of several models, and in which format, runs in so much memory."""
