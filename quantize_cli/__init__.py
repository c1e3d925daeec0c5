"""Turn a Hugging Face safetensors checkpoint, or a GGUF file, into quantized GGUF files.

The public library; names are imported on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from quantize_cli.version import __version__

if TYPE_CHECKING:
    from quantize_cli.api import inspect, plan, quantize
    from quantize_cli.checkpoints.open import open_checkpoint
    from quantize_cli.errors import CheckpointError, GateError, OutputError, QuantizeError, UnsupportedError, UsageError
    from quantize_cli.importance.read import read_importance
    from quantize_cli.inspection.model import Inspection
    from quantize_cli.mixes.tables import FORMATS
    from quantize_cli.observer import Observer
    from quantize_cli.planning.model import Plan
    from quantize_cli.report.model import Report
    from quantize_cli.tasks import Task, read_tasks

__all__ = [
    "FORMATS",
    "CheckpointError",
    "GateError",
    "Inspection",
    "Observer",
    "OutputError",
    "Plan",
    "QuantizeError",
    "Report",
    "Task",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "inspect",
    "open_checkpoint",
    "plan",
    "quantize",
    "read_importance",
    "read_tasks",
]

#: Name -> the module that defines it.
_HOMES = {
    "FORMATS": "mixes.tables",
    "CheckpointError": "errors",
    "GateError": "errors",
    "Inspection": "inspection.model",
    "Observer": "observer",
    "OutputError": "errors",
    "Plan": "planning.model",
    "QuantizeError": "errors",
    "Report": "report.model",
    "Task": "tasks",
    "UnsupportedError": "errors",
    "UsageError": "errors",
    "inspect": "api",
    "open_checkpoint": "checkpoints.open",
    "plan": "api",
    "quantize": "api",
    "read_importance": "importance.read",
    "read_tasks": "tasks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
