"""Token ids of texts and conversations, by tokenizer.json and a chat template, in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quantize_cli.checkpoints.sidecars import Sidecars
from quantize_cli.errors import CheckpointError, UnsupportedError, UsageError
from quantize_cli.tokenizers.sandbox import Limits
from quantize_cli.tokenizers.tokenizer_file import FILES, TOKENIZER_JSON, ask

_MIB = 1 << 20

#: A text, in which the texts of special tokens are plain text, or conversations, each a list of turns that have `role`
#: and `content`.
Stream: TypeAlias = str | Sequence[Sequence[Mapping[str, str]]]


@dataclass(frozen=True, eq=False, slots=True)
class Encoded:
    """The tokens of one stream."""

    tokens: NDArray[np.int32]  #: int32[n]
    unknown: int  #: how many of them stand for something that the tokenizer does not know


@dataclass(frozen=True, slots=True)
class Template:
    """A chat template, and the texts of tokens that it may use."""

    content: str
    names: Mapping[str, str]  #: "bos_token" -> "<s>"


def encode(
    sidecars: Sidecars, streams: Sequence[Stream], template: Template | None, *, size: int, hf_class: str | None
) -> tuple[Encoded, ...]:
    """Encode streams; no BOS or other token is added that the text or the template does not spell.

    Args:
        sidecars: The checkpoint's small files.
        streams: What to encode; conversations need a template.
        template: The model's chat template.
        size: Number of tokens of the vocabulary.
        hf_class: The tokenizer class of transformers that the family fixes.

    Raises:
        CheckpointError: A file is damaged, takes too much time or memory, or makes ids beyond the vocabulary; or the
            chat template fails.
        UnsupportedError: The checkpoint does not have a tokenizer.json.
        UsageError: Jinja, which chat templates need, is not installed.
        QuantizeError: The system does not start a process.
    """
    where = sidecars.where(TOKENIZER_JSON)
    if not sidecars.has(TOKENIZER_JSON):
        raise UnsupportedError(
            f"{where} is missing, and only that file encodes texts here; write it with transformers: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)."
        )
    packages = ["tokenizers"]
    if template is not None and not all(isinstance(stream, str) for stream in streams):
        if find_spec("jinja2") is None:
            raise UsageError(
                "Chat templates need Jinja, which is not installed; install it: pip install 'quantize-cli[calibrate]'."
            )
        packages += ["jinja2", "markupsafe"]
    answer = ask(
        sidecars,
        FILES,
        f"{where}, with the chat template and the texts,",
        partial(_limits, texts=sum(map(_length, streams))),
        packages,
        streams=streams,
        template=None if template is None else asdict(template),
        model=where.removesuffix(TOKENIZER_JSON).rstrip("/\\") or where,
        hf_class=hf_class,
    )
    found = []
    for ids, unknown in zip(answer["ids"], answer["unknown"], strict=True):
        tokens = np.array(ids, np.int64)
        if tokens.size and tokens.max() >= size:
            raise CheckpointError(
                f"{where} makes the token {tokens.max()} of a text, but the model has {size:,} tokens; download the "
                "files again."
            )
        found.append(Encoded(tokens.astype(np.int32), unknown))
    return tuple(found)


def _length(stream: Stream) -> int:
    """Return the number of letters."""
    return len(stream) if isinstance(stream, str) else sum(len(turn["content"]) for turns in stream for turn in turns)


def _limits(size: int, texts: int) -> Limits:
    """Return limits for a request of `size` bytes with texts of so many letters."""
    files, letters = size / _MIB, texts / _MIB
    return Limits(seconds=10 + int(files / 2 + 20 * letters), mebibytes=256 + int(24 * files + 512 * letters))
