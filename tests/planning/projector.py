"""A vision projector, the same bits on every machine: a GGUF file of the architecture clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFValueType as V
from gguf_factory import write_gguf

FIELDS = {
    "general.type": ("mmproj", V.STRING),
    "clip.has_vision_encoder": (True, V.BOOL),
    "clip.projector_type": ("gemma3", V.STRING),
    "clip.vision.block_count": (2, V.UINT32),
    "clip.vision.embedding_length": (256, V.UINT32),
    "clip.vision.attention.head_count": (4, V.UINT32),
    "clip.vision.attention.layer_norm_epsilon": (1e-6, V.FLOAT32),
    "clip.vision.image_mean": ((0.5, 0.5, 0.5), V.ARRAY, V.FLOAT32),
}
MATRICES = {
    "attn_q": (8, 256),
    "attn_k": (8, 256),
    "attn_v": (8, 256),
    "attn_out": (256, 32),
    "ffn_up": (16, 256),
    "ffn_down": (8, 512),
}


def write_projector(path: Path) -> None:
    """Write the projector in F16."""
    shapes = {"v.patch_embd.weight": (8, 3, 4, 4), "v.position_embd.weight": (16, 256), "mm.0.weight": (8, 96)}
    for layer in range(2):
        shapes |= {f"v.blk.{layer}.{name}.weight": shape for name, shape in MATRICES.items()}
        shapes[f"v.blk.{layer}.ln1.weight"] = (256,)
    write_gguf(path, {name: _weights(shape) for name, shape in shapes.items()}, FIELDS, architecture="clip")


def _weights(shape: tuple[int, ...]) -> np.ndarray:
    """Draw whole multiples of 1/1024 from a stream that NumPy keeps stable; vectors are F32."""
    raw = np.random.Generator(np.random.PCG64(len(shape))).bit_generator.random_raw(int(np.prod(shape)))
    values = ((raw >> np.uint64(53)).astype(np.float32) - 1024) / 1024
    return values.reshape(shape).astype(np.float32 if len(shape) == 1 else np.float16)
