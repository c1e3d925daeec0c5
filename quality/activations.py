"""The largest input that each column of a model's linear layers meets, which LLM.int8() looks at.

    python quality/activations.py MODEL TEXT OUT.npz [--context 512] [--chunks 16]

It needs torch and transformers. The text is cut into chunks of `--context` tokens, as llama-perplexity does.
OUT.npz has float32[columns] for each matrix of a linear layer, under its name in the checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast


def largest_inputs(model: torch.nn.Module, chunks: list[list[int]]) -> dict[str, np.ndarray]:
    """Run the model over chunks of tokens, and return the largest magnitude in each channel of a linear's input."""
    largest: dict[str, torch.Tensor] = {}

    def listen(name: str) -> object:
        def hook(_module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
            seen = arguments[0].detach().abs().flatten(0, -2).amax(0)
            largest[name] = torch.maximum(largest[name], seen) if name in largest else seen

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(listen(f"{name}.weight"))
    with torch.inference_mode():
        for chunk in chunks:
            model(torch.tensor([chunk]), use_cache=False)
    return {name: values.float().numpy() for name, values in largest.items()}


def main() -> None:
    """Write the file."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", type=Path)
    made.add_argument("text", type=Path)
    made.add_argument("out", type=Path)
    made.add_argument("--context", type=int, default=512)
    made.add_argument("--chunks", type=int, default=16)
    arguments = made.parse_args()
    torch.set_num_threads(1)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(arguments.model / "tokenizer.json"))
    tokens = tokenizer(arguments.text.read_text(), add_special_tokens=False)["input_ids"]
    size = arguments.context
    chunks = [
        tokens[start : start + size] for start in range(0, min(arguments.chunks * size, len(tokens) - size + 1), size)
    ]
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32, trust_remote_code=False).eval()
    found: dict[str, Any] = largest_inputs(model, chunks)
    np.savez(arguments.out, **found)
    print(f"{len(chunks)} chunks of {size} tokens")


if __name__ == "__main__":
    main()
