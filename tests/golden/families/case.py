"""What a checkpoint of the five families is made of, and how it is written."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from golden.families.weights import Array, Fill, normal
from golden.small_checkpoints import DTYPES, OUTTYPES, TOKENIZER_FILES, write_weights
from safetensors import deserialize

#: safetensors' name of a dtype -> NumPy's.
DTYPE_NAMES = {
    "BF16": "bfloat16",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "F8_E4M3": "float8_e4m3fn",
    "I8": "int8",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
}

Arrays = dict[str, Array]
Layout = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Tensor:
    """A tensor to draw; its dtype is the checkpoint's unless one is given."""

    shape: tuple[int, ...]
    fill: Fill = normal
    dtype: str | None = None


@dataclass(frozen=True)
class Vocabulary:
    """Tokenizer files by name, or a real tokenizer: a folder under shared/tokenizers."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    pre_tokenizer: str | None = None  #: the name to give where the reference does not know the vocabulary
    shared: str | None = None


def unchanged(tensors: Arrays) -> Arrays:
    """Return the tensors under the names that the family's file gives them."""
    return tensors


@dataclass(frozen=True)
class Case:
    """A checkpoint to build, and how the reference converts it."""

    name: str
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    vocabulary: Vocabulary
    dtype: str = "bfloat16"  #: torch's name
    layout: Layout = unchanged
    shards: int = 1
    weights_of: str | None = None  #: the case whose weights these are, in another layout
    options: tuple[str, ...] = ()  #: options to give to the reference's converter
    further: tuple[str, ...] = ()  #: formats to record beside the usual ones
    requantize: bool = False  #: whether tensors are quantized again, as with --allow-requantize
    raw_config: bool = False  #: whether the reference reads config.json itself, because transformers loses keys of it
    adds_bos: bool = False  #: whether the tokenizer adds BOS, which transformers 5 denies for all byte-level ones
    slow: bool = False  #: whether only `make test-slow` converts it
    refusal: str | None = None  #: part of the reference's message, where it cannot read this layout

    @property
    def recorded_as(self) -> str:
        """The name of the folder, which the metadata repeats, and of the record.

        A layout that the reference cannot read has the record of the case with the same weights.
        """
        return self.weights_of if self.refusal and self.weights_of else self.name

    @property
    def outtype(self) -> str:
        """The converter's output type that loses nothing."""
        return OUTTYPES[self.dtype]

    @property
    def formats(self) -> tuple[str, ...]:
        """The names of the files to record: the converter's own, and what the quantizer makes of it."""
        copied = ("SOURCE", self.outtype.upper(), "Q4_K_M")
        return (*copied, *self.further) if self.vocabulary.shared else (*copied, "IQ4_XS", *self.further)


def arrays(case: Case) -> Arrays:
    """Draw the case's tensors and lay them out."""
    seed = case.weights_of or case.name
    drawn = {}
    for name, tensor in case.tensors.items():
        dtype = tensor.dtype or case.dtype
        drawn[name] = np.asarray(tensor.fill(f"{seed}/{name}", tensor.shape, dtype), DTYPES[dtype])
    return case.layout(drawn)


def build(case: Case, parent: Path, tokenizers: Path | None = None) -> Path:
    """Write the case into a new folder under `parent` and return it.

    Args:
        case: what to write.
        parent: an existing folder without one of that name.
        tokenizers: the folder with real tokenizers, for the cases whose vocabulary is one.

    Raises:
        ValueError: The case needs a real tokenizer and `tokenizers` is missing.
    """
    folder = parent / case.recorded_as
    folder.mkdir()
    write_weights(folder, arrays(case), case.shards)
    (folder / "config.json").write_text(json.dumps({**case.config, "torch_dtype": case.dtype}, indent=2))
    for file, content in case.vocabulary.files.items():
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(content)
    if case.vocabulary.shared:
        if tokenizers is None:
            raise ValueError(f"{case.name} needs the folder with real tokenizers")
        for file in TOKENIZER_FILES:
            if (source := tokenizers / case.vocabulary.shared / file).exists():
                shutil.copyfile(source, folder / file)
    return folder


def digest(folder: Path) -> str:
    """Return the SHA-256 of a built checkpoint: its tensors (name, dtype, shape, bytes) and its other files.

    The bytes of the safetensors files do not count, because a library writes their headers.
    """
    lines = []
    for shard in sorted(folder.glob("*.safetensors")):
        for name, held in sorted(deserialize(shard.read_bytes())):
            dtype = DTYPE_NAMES[held["dtype"]]
            lines.append(f"{shard.name} {name} {dtype} {tuple(held['shape'])} {_sha256(held['data'])}")
    own = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    lines += [f"{path.relative_to(folder)} {_sha256(path.read_bytes())}" for path in sorted(own)]
    return _sha256("\n".join(lines).encode())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
