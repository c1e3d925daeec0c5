"""Methods of the literature, which GGUF's types are compared with; no file is written in them."""
