"""How far the predictions of quantized models are from the original's."""
