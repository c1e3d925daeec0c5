"""Which files can be measured, as far as a look at their first bytes tells."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from quantize_cli.errors import CheckpointError, UsageError
from quantize_cli.gguf_file.header import MAGIC


def check_files(files: Sequence[str | Path]) -> None:
    """Check, before the work, that each file can be meant.

    Raises:
        UsageError: No file is given, or one twice.
        CheckpointError: One does not exist, cannot be read, or is not a GGUF file.
    """
    if not files:
        raise UsageError("No FILE is given; name the GGUF files to measure.")
    seen: dict[str, str | Path] = {}
    for file in files:
        other = seen.get(os.path.realpath(file))
        if other is not None:
            same = "" if str(other) == str(file) else f", as {other} too"
            raise UsageError(f"{file} is given twice{same}; name each file once.")
        seen[os.path.realpath(file)] = file
        _check_start(Path(file))


def _check_start(path: Path) -> None:
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; name a GGUF file in it.")
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist; check the path.") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    if start != MAGIC:
        raise CheckpointError(
            f"{path} is not a GGUF file, because it does not begin with GGUF; name a file that quantize or llama.cpp "
            "has written, and the original as --against MODEL."
        )
