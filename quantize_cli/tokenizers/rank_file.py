"""Files of ranks, tekken.json and tiktoken's, as read by a process of its own, which derives their merges too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from quantize_cli.checkpoints.sidecars import Sidecars
from quantize_cli.tokenizers.sandbox import Limits
from quantize_cli.tokenizers.tokenizer_file import ask

Form: TypeAlias = Literal["tekken", "tiktoken"]
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class RankFile:
    """The tokens of a file of ranks."""

    texts: Sequence[str]  #: of the tokens by rank, in GPT-2's letters for bytes
    merges: Sequence[str]  #: each with a space between its two parts
    special: Sequence[str] = ()  #: texts of the special tokens that come before the others, if the file has them
    version: str = ""  #: of the format, if the file tells it


def read_ranks(sidecars: Sidecars, name: str, form: Form) -> RankFile:
    """Read a file of ranks.

    Args:
        sidecars: The checkpoint's small files.
        name: The file, which must exist.
        form: How it is written.

    Raises:
        CheckpointError: The file is damaged, or takes too much time or memory for its size.
        QuantizeError: The system does not start a process.
    """
    return RankFile(**ask(sidecars, (name,), sidecars.where(name), _limits, name=name, form=form))


def _limits(size: int) -> Limits:
    """Return limits for a request of `size` bytes; real files take a fifth of the time and half of the memory."""
    mebibytes = size / _MIB
    return Limits(seconds=12 + int(2 * mebibytes), mebibytes=128 + int(24 * mebibytes))
