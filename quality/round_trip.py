"""A checkpoint whose linear layers have gone through a method of the literature, which any engine can measure.

    python quality/round_trip.py MODEL METHOD OUT [--inputs inputs.npz]

METHOD is a name of `quantize_cli.literature.table.METHODS`. As in the papers, the matrices of the blocks' linear layers
are rounded; the embedding, the output matrix and the norms stay as they are. OUT gets float32 weights, which hold what
the method decodes to exactly. `quantize OUT -f f32` makes a GGUF file of it. Bits are printed as JSON: those of the
linear layers alone, and those of the model with the other weights in 16 bits.

`llm-int8` needs the largest input of each column: `activations.py` writes that file.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.literature.base import Columns, Matrix
from quantize_cli.literature.table import METHODS

#: The matrix of a linear layer in a block, by its name in a checkpoint.
_LINEAR = re.compile(r"\.layers\.\d+\..*_proj\.weight$")
_DTYPES = {"BF16": np.dtype(ml_dtypes.bfloat16), "F16": np.dtype(np.float16), "F32": np.dtype(np.float32)}
_KEPT_BITS = 16


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a model takes in a method."""

    method: str
    title: str
    linear_weights: int
    linear_bits_per_weight: float
    weights: int
    bits_per_weight: float
    bytes: int  #: of all tensors
    relative_rmse: float  #: of the linear layers, root of the mean of squares


def rounded(checkpoint: Checkpoint, name: str, inputs: dict[str, Columns]) -> tuple[dict[str, Matrix], Sizes]:
    """Return the tensors of a checkpoint as float32 arrays, its linear layers rounded, and what they take."""
    method = METHODS[name]
    tensors: dict[str, Matrix] = {}
    linear = linear_bits = total = 0
    error = square = 0.0
    for info in checkpoint.infos.values():
        stored = checkpoint.read_bytes(info.name, 0, info.rows)
        weights = stored.reshape(-1).view(_DTYPES[info.dtype]).astype(np.float32).reshape(info.shape)
        total += weights.size
        if _LINEAR.search(info.name):
            known = inputs.get(info.name, np.zeros(info.shape[1], np.float32))
            result = method.round_trip(weights, known)
            linear, linear_bits = linear + weights.size, linear_bits + result.bits
            error += float(np.sum(np.square(result.weights - weights, dtype=np.float64)))
            square += float(np.sum(np.square(weights, dtype=np.float64)))
            weights = result.weights
        tensors[info.name] = weights
    bits = linear_bits + _KEPT_BITS * (total - linear)
    return tensors, Sizes(
        name, method.title, linear, linear_bits / linear, total, bits / total, -(-bits // 8), (error / square) ** 0.5
    )


def main() -> None:
    """Write the checkpoint, and print what it takes."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", type=Path)
    made.add_argument("method", choices=METHODS)
    made.add_argument("out", type=Path)
    made.add_argument("--inputs", type=Path, help="largest inputs by the names of the matrices, .npz")
    arguments = made.parse_args()
    if arguments.method == "llm-int8" and arguments.inputs is None:
        made.error("llm-int8 needs --inputs; activations.py writes that file")
    inputs = {} if arguments.inputs is None else dict(np.load(arguments.inputs, allow_pickle=False))
    with closing(open_checkpoint(arguments.model)) as checkpoint:
        tensors, sizes = rounded(checkpoint, arguments.method, inputs)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for file in arguments.model.iterdir():
        if file.suffix in (".json", ".txt", ".model") and not file.name.endswith(".index.json"):
            shutil.copy(file, arguments.out)
    save_file(tensors, arguments.out / "model.safetensors", metadata={"format": "pt"})
    print(json.dumps(asdict(sizes)))


if __name__ == "__main__":
    main()
