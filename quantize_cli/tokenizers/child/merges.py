"""Merges of byte-level BPE from ranks, that is, from the list of its tokens in the order in which they were learned.

tiktoken and Mistral's tekken store no merges. llama.cpp needs them, and there are two ways to derive them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from quantize_cli.tokenizers.byte_letters import letters_of

#: The work that real vocabularies take is a tenth of this; hostile ones with long tokens would take hours.
_MOST_STEPS = 1 << 27


def index_ranks(tokens: Sequence[bytes]) -> dict[bytes, int]:
    """Return the ranks of tokens, which are their places.

    Raises:
        ValueError: A token is empty or there twice, a byte is missing, or the tokens are too long to be split.
    """
    ranks = {token: rank for rank, token in enumerate(tokens)}
    if len(ranks) < len(tokens):
        rank = next(rank for rank, token in enumerate(tokens) if ranks[token] != rank)
        raise ValueError(f"the tokens {rank} and {ranks[tokens[rank]]} are the same")
    if b"" in ranks:
        raise ValueError(f"the token {ranks[b'']} is empty")
    missing = next((byte for byte in range(256) if bytes([byte]) not in ranks), None)
    if missing is not None:
        raise ValueError(f"it does not have a token for the byte {missing}")
    if sum(len(token) ** 2 for token in tokens) > _MOST_STEPS:
        raise ValueError("its tokens are too long")
    return ranks


def all_merges(ranks: Mapping[bytes, int]) -> Iterator[str]:
    """Yield every pair of tokens that joins to a token, by the joined one's rank and then by the parts' ranks.

    Raises:
        ValueError: A token of more than one byte does not have such a pair.
    """
    for token, rank in ranks.items():
        if len(token) == 1:
            continue
        splits = ((token[:i], token[i:]) for i in range(1, len(token)))
        pairs = sorted((ranks[a], ranks[b], a, b) for a, b in splits if a in ranks and b in ranks)
        if not pairs:
            raise ValueError(f"the token {rank} does not consist of two tokens")
        for _, _, left, right in pairs:
            yield f"{letters_of(left)} {letters_of(right)}"


def last_merges(ranks: Mapping[bytes, int]) -> Iterator[str]:
    """Yield for each token the pair that its encoding by earlier tokens leaves, if it leaves two parts."""
    for token, rank in ranks.items():
        if len(token) > 1 and len(parts := _encoded(token, ranks, rank)) == 2:
            yield " ".join(map(letters_of, parts))


def _encoded(token: bytes, ranks: Mapping[bytes, int], limit: int) -> list[bytes]:
    """Join the bytes of a token, the pair of the lowest rank first, as far as ranks below `limit` do it."""
    parts = [token[i : i + 1] for i in range(len(token))]
    found = [ranks.get(a + b, limit) for a, b in pairwise(parts)]
    while found and (lowest := min(found)) < limit:
        i = found.index(lowest)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
        del found[i]
        if i:
            found[i - 1] = ranks.get(parts[i - 1] + parts[i], limit)
        if i < len(found):
            found[i] = ranks.get(parts[i] + parts[i + 1], limit)
    return parts
