"""Types that the user asks for; they override the mix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from quantize_cli.errors import UsageError, shown
from quantize_cli.mixes.tensor_types import find_type

#: A pattern, searched anywhere in a tensor's name, and the GGML name of the type for those that have it.
TypePattern = tuple[re.Pattern[str], str]

#: Character classes such as [[:digit:]]. The reference's expressions have them, Python's do not.
_POSIX_CLASSES = {
    "alnum": "0-9a-z",
    "alpha": "a-z",
    "digit": "0-9",
    "lower": "a-z",
    "space": r"\s",
    "xdigit": "0-9a-f",
}

#: A file of more than this is not a list of types.
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TypeOverrides:
    """llama-quantize's options on types; all of them are GGML names."""

    output_tensor_type: str | None = None  #: for output.weight, and a token embedding that serves as one
    token_embedding_type: str | None = None
    tensor_types: tuple[TypePattern, ...] = ()  #: the first match wins
    pure: bool = False  #: all tensors get the mix's default type
    leave_output_tensor: bool = False  #: output.weight keeps the type it is stored in

    def matching(self, name: str) -> TypePattern | None:
        """Return the first of `tensor_types` that matches tensor `name`, or None."""
        return next((entry for entry in self.tensor_types if entry[0].search(name)), None)


def parse_tensor_type(text: str) -> TypePattern:
    """Parse REGEX=TYPE.

    Raises:
        UsageError: A part is missing, or see `type_pattern`.
    """
    pattern, equals, type_name = text.partition("=")
    if not (pattern and equals and type_name):
        raise UsageError(f"{shown(text)} is not of the form REGEX=TYPE; write it as in attn_v=q8_0.")
    return type_pattern(pattern, type_name)


def type_pattern(pattern: str, type_name: str) -> TypePattern:
    """Compile the regular expression, after changing it to lower case as llama-quantize does.

    Raises:
        UsageError: The text is not a regular expression, or the type is unknown.
    """
    for name, members in _POSIX_CLASSES.items():
        pattern = pattern.replace(f"[:{name}:]", members)
    # Letters and classes such as \d are ASCII only, as in the reference's expressions.
    lower = pattern.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")
    try:
        compiled = re.compile(lower, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"{shown(pattern)} is not a regular expression ({error}); correct it.") from None
    return compiled, find_type(type_name)


def read_tensor_type_file(path: Path) -> tuple[TypePattern, ...]:
    """Read entries of the form REGEX=TYPE, separated by white space.

    Raises:
        UsageError: The file cannot be read, or an entry is wrong.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); choose another file of types.") from None
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes; choose a list of REGEX=TYPE entries.")
    try:
        entries = content.decode().split()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file; choose a list of REGEX=TYPE entries.") from None
    return tuple(_entry_of(path, entry) for entry in entries)


def _entry_of(path: Path, entry: str) -> TypePattern:
    try:
        return parse_tensor_type(entry)
    except UsageError as error:
        raise UsageError(f"In {path}, entry {shown(entry)}: {error}") from None
