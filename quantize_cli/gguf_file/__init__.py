"""The GGUF container: fields, header, reader, and the facts of types; no facts of models."""
