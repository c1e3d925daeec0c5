"""Tokenizer files in, GGUF vocabularies out."""
