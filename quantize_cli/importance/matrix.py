"""The importance matrix, as llama-quantize uses it (tools/quantize/quantize.cpp, src/llama-quant.cpp)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quantize_cli.errors import CheckpointError, UsageError, shown
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.values import as_text

#: Tensors whose entry is ignored if its size differs, because llama-imatrix counts their rows, not their columns.
_SIZE_MAY_DIFFER = frozenset({"token_embd.weight", "per_layer_token_embd.weight"})
_MAX_TEXT_BYTES = 127  # llama_model_kv_override::val_str, less its final zero


@dataclass(frozen=True, eq=False, slots=True)
class ImportanceMatrix:
    """The importance of each column of each tensor: the mean of its squared activations."""

    #: Tensor name -> float32[experts, columns], all finite. The older file format does not tell experts apart and holds
    #: all values in one row.
    entries: Mapping[str, NDArray[np.float32]]
    file: str  #: its path as the user gave it
    datasets: tuple[str, ...]  #: names of the text files that it was computed on; bytes other than UTF-8 are surrogates
    chunks: int  #: number of pieces of text that it was computed on; unknown if 0 or less
    sha256: str | None = None  #: of the file, in hex digits; None if it was not read from one

    def selected(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> ImportanceMatrix:
        """Select the entries whose names contain one of `include`, or do not contain any of `exclude`.

        Raises:
            UsageError: Both are given.
        """
        if include and exclude:
            raise UsageError("--include-weights and --exclude-weights cannot be combined; leave one of them out.")
        kept: Callable[[str], bool] = (
            (lambda name: any(part in name for part in include))
            if include
            else (lambda name: not any(part in name for part in exclude))
        )
        return replace(self, entries={name: held for name, held in self.entries.items() if kept(name)})

    def for_tensor(self, name: str, shape: Sequence[int]) -> NDArray[np.float32] | None:
        """Return the importance of a tensor of this row-major shape, float32[experts, columns], or None.

        The third dimension from the end counts experts; a tensor without it has 1.

        Raises:
            CheckpointError: The entry is of another size.
        """
        entry = self.entries.get(name)
        if entry is None:
            return None
        columns, experts = shape[-1], shape[-3] if len(shape) > 2 else 1
        if entry.size == columns * experts:
            return entry.reshape(experts, columns)
        if name in _SIZE_MAY_DIFFER:
            return None
        raise CheckpointError(
            f"{self.file} holds {entry.size} importances for {shown(name)}, which needs {columns * experts}; compute "
            "the importance matrix for this model."
        )

    def metadata_fields(self) -> tuple[Field, ...]:
        """Return the fields that llama-quantize appends to the output's metadata; none if there are no entries."""
        if not self.entries:
            return ()
        fields = [Field("quantize.imatrix.file", ValueType.STRING, _cut(self.file))]
        if self.datasets:
            fields.append(Field("quantize.imatrix.dataset", ValueType.STRING, _cut(self.datasets[0])))
        fields.append(Field("quantize.imatrix.entries_count", ValueType.UINT32, len(self.entries)))
        if self.chunks > 0:
            fields.append(Field("quantize.imatrix.chunks_count", ValueType.UINT32, self.chunks))
        return tuple(fields)


def _cut(text: str) -> str | bytes:
    """Cut `text` to the size of the reference's buffer, which may end within a character."""
    raw = text.encode("utf-8", "surrogateescape")[:_MAX_TEXT_BYTES]
    return as_text(raw.partition(b"\0")[0])
