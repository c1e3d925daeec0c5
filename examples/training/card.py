"""The model card that train_wide.py writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_CARD = """---
language:
- en
tags:
- text-generation
---

# wide-llama

A Llama that is {hidden} wide and has {parameters:,} parameters, on which to measure this project. Its layers are
narrow, and its vocabulary has full size, as in Pythia-31M. It is too small, and has seen too little, for other uses.

## What it is
`LlamaForCausalLM` in the Hugging Face layout, bf16: {layers} layers, hidden {hidden}, feed-forward {feed_forward},
{heads} heads of {head_dim}, separate input and output embeddings of {vocabulary:,} tokens, context {context}. The
length of every row is a multiple of 256, so the K types apply everywhere. The tokenizer is SmolLM2's. `<|endoftext|>`
opens every text.

Both embeddings began as SmolLM2's (Apache-2.0), projected to their {hidden} principal components. All other weights
began at random.

## What it has learned
The end of `{text}` is held out ({held_out_tokens:,} tokens). Each token is predicted from `<|endoftext|>`
and the tokens before it in its window of {context}. The unigram model knows the frequency of each token in the training
texts (with one added to each count).

| on the held-out text | nats per token | perplexity |
|---|---|---|
| unigram model | {unigram_loss:.3f} | {unigram_perplexity:,.1f} |
| this model, its bf16 weights | {held_out_loss:.3f} | {held_out_perplexity:,.1f} |

## How it was made
`examples/training/train_wide.py` took {steps:,} steps, that is, {tokens_seen:,} tokens, in {seconds:,} seconds
with torch {torch}. The training texts have {training_tokens:,} tokens:

- `{text}` without its end, {repeats} times
{others}

`training.json` has the figures as the script wrote them.
"""


def model_card(
    figures: Mapping[str, float | str], sizes: Mapping[str, int], text: str, repeats: int, others: Sequence[str]
) -> str:
    """Return README.md.

    Args:
        figures: What training.json has.
        sizes: The fields of the config that the card names.
        text: The file whose end is held out.
        repeats: How often its other part is among the training texts.
        others: Names of the further files and folders.
    """
    return _CARD.format(
        **figures,
        hidden=sizes["hidden_size"],
        layers=sizes["num_hidden_layers"],
        feed_forward=sizes["intermediate_size"],
        heads=sizes["num_attention_heads"],
        head_dim=sizes["head_dim"],
        vocabulary=sizes["vocab_size"],
        context=sizes["max_position_embeddings"],
        text=text,
        repeats=repeats,
        others="\n".join(f"- `{other}`" for other in others),
    )
