"""Fill plans with bytes."""
