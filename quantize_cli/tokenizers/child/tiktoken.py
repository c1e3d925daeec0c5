"""tiktoken's files of ranks: each line has a token in base64, and its rank, which is its place."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from quantize_cli.checkpoints.sidecars import Sidecars
from quantize_cli.errors import CheckpointError
from quantize_cli.tokenizers.byte_letters import letters_of
from quantize_cli.tokenizers.child.merges import index_ranks, last_merges

_MAX_RANKS = 1 << 20


def tiktoken_facts(sidecars: Sidecars, name: str) -> dict[str, Any]:
    """Return facts for `rank_file.RankFile` from one of tiktoken's files.

    Raises:
        CheckpointError: The file is damaged, or it is not such a file.
    """
    try:
        by_rank = list(_tokens(sidecars.read(name)))
        merges = list(last_merges(index_ranks(by_rank)))
    except ValueError as error:
        raise CheckpointError(
            f"{sidecars.where(name)} is not a file of tiktoken's ranks ({error}); download it again."
        ) from error
    return {"texts": [*map(letters_of, by_rank)], "merges": merges}


def _tokens(content: bytes) -> Iterator[bytes]:
    rank = 0
    for number, line in enumerate(content.split(b"\n"), 1):
        words = line.split()
        if not words:
            continue
        if rank == _MAX_RANKS:
            raise ValueError(f"it has more than {_MAX_RANKS:,} tokens")
        if len(words) != 2 or words[1] != b"%d" % rank:
            raise ValueError(f"line {number} is not a token with the rank {rank}")
        try:
            yield base64.b64decode(words[0], validate=True)
        except binascii.Error as error:
            raise ValueError(f"line {number} is not base64") from error
        rank += 1
