"""The `quantize` command: Typer, rich and tqdm stay in here."""
