"""Where tensors and the small files beside them come from."""
