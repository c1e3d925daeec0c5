"""The memory that llama.cpp takes to run a file: an estimate from its metadata. docs/plan.md states the formula."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from quantize_cli.architectures.hyperparameters import Hyperparameters
from quantize_cli.errors import UsageError, shown
from quantize_cli.gguf_file.fields import Field
from quantize_cli.planning.kv_cache import BATCH, cells, kept_of

#: The context that is assumed unless one is given; a model whose own is shorter gets that.
USUAL_CONTEXT = 4096

_F32 = 4
#: Bytes of the mask of attention for each pair of tokens: the F16 that flash attention takes, and the F32 before.
_MASK_F16, _MASK_BOTH = 2, 6
#: Arrays of the model's width, and of the feed-forward network's, that a layer holds at a time.
_WIDE, _FORWARD = 4, 3
#: Arrays of the model's width that each used expert makes.
_OF_EXPERT = 2
#: Arrays of the model's width that are held beside the output.
_BESIDE_OUTPUT = 2


@dataclass(frozen=True, slots=True)
class RunMemory:
    """The bytes that llama.cpp takes to run a file on one device, with one sequence."""

    context: int  #: tokens
    weights: int  #: all files
    kv_cache: int  #: keys and values of the context, F16, and recurrent states, F32
    compute: int  #: the buffer for what is computed of 512 tokens at a time

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.kv_cache + self.compute


#: A number and a unit; as memory is sold, K to T alone are powers of 1024.
_AMOUNT = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?([KMGT])(i?B)?", re.IGNORECASE)


def parse_memory(text: int | str) -> int:
    """Parse an amount of memory: 16GiB and 16G are powers of 1024, 16GB is one of 1000.

    Returns:
        Bytes.

    Raises:
        UsageError: The text is of another form, or the amount is 0.
    """
    if isinstance(text, int):
        nbytes = text
    else:
        found = _AMOUNT.fullmatch(text.strip())
        unit = 1000 if found and (found[3] or "").lower() == "b" else 1024
        nbytes = round(float(found[1]) * unit ** ("KMGT".index(found[2].upper()) + 1)) if found else 0
    if nbytes < 1:
        raise UsageError(f"{shown(str(text))} is not an amount of memory; write it as in 16GiB.")
    return nbytes


def memory_to_run(metadata: Sequence[Field], file_bytes: int, context: int | None = None) -> RunMemory | None:
    """Estimate the memory that llama.cpp takes to run a file.

    Args:
        metadata: The file's, which llama.cpp loads.
        file_bytes: Size of all files.
        context: Tokens; None is the model's own number, but at most `USUAL_CONTEXT`.

    Returns:
        The estimate, or None if it is not known what llama.cpp keeps for this architecture.
    """
    fields = {field.key: field for field in metadata}
    model = Hyperparameters(fields, str(fields["general.architecture"].value))
    try:
        tokens = context or min(model.natural("context_length") or USUAL_CONTEXT, USUAL_CONTEXT)
        kept = kept_of(model, tokens)
        compute = _compute_bytes(model, _vocabulary(fields, model), tokens)
    except (IndexError, TypeError, ValueError):  # fields that llama.cpp does not read for this model may hold anything
        return None
    return None if kept is None else RunMemory(tokens, file_bytes, kept.kv_bytes + kept.state_bytes, compute)


def _vocabulary(fields: dict[str, Field], model: Hyperparameters) -> int:
    tokens = fields.get("tokenizer.ggml.tokens")
    return len(tokens.value) if tokens is not None else model.natural("vocab_size") or 0


def _compute_bytes(model: Hyperparameters, vocabulary: int, context: int) -> int:
    """Estimate the buffer: the largest of what the output matrix makes, what a layer holds, and the mask."""
    width = model.natural("embedding_length") or 0
    output = (vocabulary + _BESIDE_OUTPUT * width) * _F32
    layer = cells(context) * _MASK_F16 + (_WIDE * width + _forward(model, width)) * _F32
    mask = cells(context) * _MASK_BOTH
    return BATCH * max(output, layer, mask)


def _forward(model: Hyperparameters, width: int) -> int:
    """Return the numbers that the widest part of a layer holds of a token."""
    dense, used = model.natural("feed_forward_length") or 0, model.natural("expert_used_count") or 0
    expert = model.natural("expert_feed_forward_length") or dense
    recurrent = 2 * (model.natural("ssm.inner_size") or 0)
    return max(_FORWARD * max(dense, used * expert, recurrent), _OF_EXPERT * used * width)
