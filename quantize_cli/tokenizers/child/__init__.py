"""What runs in a process of its own: parsing tokenizer.json, and the `tokenizers` library."""
