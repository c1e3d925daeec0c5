"""Values of untrusted JSON files, by the type that they should have."""

from __future__ import annotations

from typing import Any

from quantize_cli.errors import CheckpointError, shown

#: Token ids are stored as uint32.
ID_LIMIT = 1 << 32
_ID_DIGITS = len(str(ID_LIMIT))


def mapping(value: object) -> dict[str, Any]:
    """Return `value` if it is a JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return `value` if it is a JSON array, or an empty one."""
    return value if isinstance(value, list) else []


def token_id(value: object, where: str) -> int:
    """Return the id of an added token, which the file `where` gives as a number or as its decimal digits.

    Raises:
        CheckpointError: The value is not a token id.
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _ID_DIGITS:
        value = int(value)
    if type(value) is not int or not 0 <= value < ID_LIMIT:
        raise CheckpointError(
            f"{where} gives an added token the id {shown(value)}, which is not a token id; download it again."
        )
    return value


def token_text(entry: object, i: int, where: str) -> str:
    """Return the text of the added token with the id `i`, which the file `where` describes by a JSON object.

    Raises:
        CheckpointError: The entry does not have a text.
    """
    content = mapping(entry).get("content")
    if not isinstance(content, str):
        raise CheckpointError(f"{where} does not give the text of the added token {i}; download it again.")
    return content
