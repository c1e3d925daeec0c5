"""Text that the model itself writes: it is like what the model will be used for, and is always there."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from transformers import GenerationConfig

from quantize_cli.calibrate.skeleton import OUTSIDE, Skeleton
from quantize_cli.calibrate.weights import Weights
from quantize_cli.texts.model import Sequences, TextRecord

#: The kind of these sequences.
SAMPLED = "sampled"
#: Kinds of text, this one included.
_KINDS = 7
#: The largest model that writes, so that memory stays small; it is the same on every machine, as the file has to be.
MOST_BYTES = 1 << 30


def fits(skeleton: Skeleton) -> bool:
    """Tell whether all of a model may be in memory at once, which sampling needs."""
    parts = range(OUTSIDE, len(skeleton))
    weights = sum(held.numel() for part in parts for held in skeleton.parameters(part).values())
    return weights * skeleton.settings.dtype.itemsize <= MOST_BYTES


def share_of(sequences: int) -> int:
    """Return how many of some sequences the model writes: as many as there are of any other kind."""
    return sequences // _KINDS


def joined(first: Sequences, second: Sequences) -> Sequences:
    """Return all sequences of both."""
    return Sequences(
        np.concatenate([first.tokens, second.tokens]), first.kinds + second.kinds, first.records + second.records
    )


def sampled(skeleton: Skeleton, weights: Weights, count: int, context: int, bos: int | None, seed: int) -> Sequences:
    """Let a model write.

    Args:
        skeleton: The model.
        weights: Its weights.
        count: Number of sequences.
        context: Tokens of a sequence.
        bos: The token that begins each; without one, each begins with a token that is drawn from all.
        seed: Of what is drawn.
    """
    for part in range(OUTSIDE, len(skeleton)):
        skeleton.load(part, weights)
    device, vocabulary = skeleton.settings.device, skeleton.model.config.vocab_size
    first = torch.randint(vocabulary, (count, 1), generator=torch.Generator().manual_seed(seed))
    if bos is not None:
        first.fill_(bos)
    plan = GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_length=context, min_length=context, pad_token_id=0
    )
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.manual_seed(seed)
        first = first.to(device)
        written = skeleton.model.generate(first, attention_mask=torch.ones_like(first), generation_config=plan)
    for part in range(len(skeleton)):
        skeleton.unload(part)
    tokens = np.ascontiguousarray(written.cpu().numpy(), "<i4")
    record = TextRecord(SAMPLED, (f"seed {seed}",), tokens.size, hashlib.sha256(tokens.tobytes()).hexdigest())
    return Sequences(tokens, (SAMPLED,) * count, (record,))
