"""The GGUF container, on the `gguf` package; no facts about models."""
