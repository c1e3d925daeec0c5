"""The reader of importance matrices in both file formats of llama-imatrix."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from quantize_cli.checkpoints.reading import OpenFile, opened, reading
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.header import MAGIC
from quantize_cli.importance.matrix import ImportanceMatrix
from quantize_cli.importance.read_gguf import read_gguf
from quantize_cli.importance.read_legacy import read_legacy

#: Bytes that are hashed at a time.
_PIECE_BYTES = 1 << 20


def read_importance(file: str | Path) -> ImportanceMatrix:
    """Read an importance matrix as llama-imatrix writes it: a GGUF file, or the older binary format (`.dat`).

    The output's metadata will contain `file` as it is given here.

    Raises:
        CheckpointError: The file does not exist, is damaged, or holds values that are negative or not finite.
    """
    path = Path(file)
    with reading(path):
        if not path.exists() or path.is_dir():
            raise CheckpointError(f"The importance matrix {path} does not exist; check the path.")
    with opened(path) as held:
        is_gguf = held.read(0, len(MAGIC)) == MAGIC
        matrix = (read_gguf if is_gguf else read_legacy)(held, path, os.fspath(file))
        matrix = replace(matrix, sha256=_sha256(held))
    if not matrix.entries:
        raise CheckpointError(f"{path} does not hold any importances; give a file that llama-imatrix has written.")
    for name, importance in matrix.entries.items():
        if not np.isfinite(importance).all():
            raise CheckpointError(
                f"{path} holds NaN or infinite importances for {shown(name)}; compute the importance matrix again."
            )
        if (importance < 0).any():
            raise CheckpointError(
                f"{path} holds negative importances for {shown(name)}, but they are means of squares; compute the "
                "importance matrix again."
            )
    return matrix


def _sha256(file: OpenFile) -> str:
    digest = hashlib.sha256()
    for start in range(0, file.size, _PIECE_BYTES):
        digest.update(file.read(start, min(start + _PIECE_BYTES, file.size)))
    return digest.hexdigest()
