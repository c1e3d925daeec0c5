"""Check a finished GGUF file: by itself, and against the model that it was made from."""
