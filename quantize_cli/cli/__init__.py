"""The `quantize` command: Click, rich and tqdm stay in here."""
