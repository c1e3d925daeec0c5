"""What runs in a process of its own: parsing tokenizer.json, the `tokenizers` library, and chat templates."""
