"""Whether a calibration is of a model: hashes of its configuration and of its tensors' shapes, from headers alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from quantize_cli.checkpoints.base import Checkpoint
from quantize_cli.checkpoints.gguf import GgufCheckpoint
from quantize_cli.checkpoints.sidecars import Json, read_object
from quantize_cli.errors import UnsupportedError, UsageError
from quantize_cli.sensitivity.model import Calibration, ModelIdentity

_CONFIG = "config.json"

#: Keys of config.json, in any section, that do not change what the model computes. Keys that begin with "_" are others.
_IRRELEVANT = frozenset({
    "dtype", "output_attentions", "output_hidden_states", "return_dict", "torch_dtype", "torchscript",
    "transformers_version", "use_cache", "use_return_dict",
})  # fmt: skip


def identity_of(checkpoint: Checkpoint) -> ModelIdentity:
    """Return what tells a model from others.

    Raises:
        UnsupportedError: The model is a GGUF file, whose tensors have other names.
        CheckpointError: Its config.json cannot be read.
    """
    if isinstance(checkpoint, GgufCheckpoint):
        raise UnsupportedError(
            f"{checkpoint.location} is a GGUF file, and a calibration is of a safetensors checkpoint; take that one, "
            "or give the calibration with --imatrix."
        )
    config = _relevant(read_object(checkpoint.sidecars, _CONFIG))
    shapes = sorted((info.name, list(info.shape)) for info in checkpoint.infos.values())
    return ModelIdentity(_hashed(config), _hashed(shapes))


def check_calibration(calibration: Calibration, checkpoint: Checkpoint) -> None:
    """Check that a calibration is of this model.

    Raises:
        UsageError: It is of another one.
        CheckpointError, UnsupportedError: See `identity_of`.
    """
    found = identity_of(checkpoint)
    shapes, config = found.shapes != calibration.model.shapes, found.config != calibration.model.config
    if not shapes and not config:
        return
    what = "the names or shapes of its tensors differ" if shapes else f"its {_CONFIG} differs, though no shape does"
    raise UsageError(
        f"The calibration is of another model than {checkpoint.location}: {what}; run `quantize calibrate` on "
        "this model."
    )


def check_statistics(calibration: Calibration, shapes: Mapping[str, tuple[int, int]]) -> None:
    """Check that methods can use what was measured.

    Args:
        calibration: A calibration of this model.
        shapes: GGUF name -> rows and columns, of the tensors that are written.

    Raises:
        UsageError: It is of other shapes or tokens, which `quantize calibrate` would not write.
    """
    for tensor in calibration.tensors:
        if tensor.name not in shapes:  # then nothing asks for it
            continue
        rows, columns = shapes[tensor.name]
        for size, expected in ((tensor.hessian.size, columns * columns), (tensor.output_factors[:1].size, rows)):
            if size not in (0, expected):
                raise UsageError(
                    f"The calibration's statistics of {tensor.name} do not fit its {rows} rows of {columns} weights; "
                    "run `quantize calibrate` on this model again."
                )
    vocabulary, _ = shapes.get("token_embd.weight", (0, 0))
    if vocabulary and calibration.tokens.max(initial=0) >= vocabulary:
        raise UsageError(
            f"The calibration has token {calibration.tokens.max()}, and the model {vocabulary} tokens; run `quantize "
            "calibrate` on this model again."
        )


def _relevant(value: Json) -> Json:
    if isinstance(value, dict):
        return {
            key: _relevant(held) for key, held in value.items() if key not in _IRRELEVANT and not key.startswith("_")
        }
    return [_relevant(item) for item in value] if isinstance(value, list) else value


def _hashed(value: Json) -> str:
    """Return the SHA-256 of a value's JSON text with sorted keys, in hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
