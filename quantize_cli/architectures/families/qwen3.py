"""Qwen 3, dense: heads of a width of their own, with RMS norms on queries and keys in place of biases."""

from __future__ import annotations

from dataclasses import replace

from gguf import MODEL_ARCH, GGUFWriter

from quantize_cli.architectures.config import Config, read_text
from quantize_cli.architectures.families.qwen2 import QWEN2
from quantize_cli.architectures.family import Dimensions
from quantize_cli.architectures.pooling import pooling_fields
from quantize_cli.architectures.shapes import DENSE_DECODER, OUTPUT_BIAS, QK_NORM, QKV_BIAS, optional
from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import UnsupportedError
from quantize_cli.gguf_file.bridge import write_fields


def _add_metadata(writer: GGUFWriter, config: Config, _dimensions: Dimensions) -> None:
    if _is_reranker(config):
        raise UnsupportedError(
            f"{config.name} is a Qwen3 reranker, whose output layer is cut down to two tokens, which this version "
            "cannot do yet."
        )
    write_fields(writer, pooling_fields(writer.arch, FolderSidecars(config.folder)))


def _is_reranker(config: Config) -> bool:
    """Rerankers share their architecture with the chat models; the reference goes by name and model card too."""
    card = config.folder / "README.md"
    text = read_text(card).lower() if card.is_file() else ""
    names = f"{config.name} {config.text('_name_or_path') or ''}".lower()
    return "qwen3-reranker" in names or "# qwen3-reranker" in text


QWEN3 = replace(
    QWEN2,
    architecture=MODEL_ARCH.QWEN3,
    model_type="qwen3",
    layout={**DENSE_DECODER, **QK_NORM, **optional({**QKV_BIAS, **OUTPUT_BIAS})},
    defaults={**QWEN2.defaults, "head_dim": 128},
    add_metadata=_add_metadata,
)
