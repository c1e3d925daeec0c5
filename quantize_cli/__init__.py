"""Turn a Hugging Face safetensors checkpoint into a quantized GGUF file.

The public library; names are imported on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from quantize_cli.version import __version__

if TYPE_CHECKING:
    from quantize_cli.checkpoints import open_checkpoint
    from quantize_cli.convert import Settings, quantize_model
    from quantize_cli.formats import FORMATS
    from quantize_cli.mixes import MIXES
    from quantize_cli.pipeline import run
    from quantize_cli.plan import make_plan

__all__ = ["FORMATS", "MIXES", "Settings", "__version__", "make_plan", "open_checkpoint", "quantize_model", "run"]

_HOMES = {
    "FORMATS": "formats",
    "MIXES": "mixes",
    "Settings": "convert",
    "make_plan": "plan",
    "open_checkpoint": "checkpoints",
    "quantize_model": "convert",
    "run": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
