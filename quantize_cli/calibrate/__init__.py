"""The engine: a model, one block at a time. No other room imports torch and transformers."""
