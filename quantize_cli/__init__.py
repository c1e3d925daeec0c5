"""Turn a Hugging Face safetensors checkpoint, or a GGUF file, into quantized GGUF files.

The public library; names are imported on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from quantize_cli.version import __version__

if TYPE_CHECKING:
    from quantize_cli.advice.model import Advice
    from quantize_cli.api import advise, inspect, plan, preview, quantize, verify
    from quantize_cli.checkpoints.open import open_checkpoint
    from quantize_cli.errors import CheckpointError, GateError, OutputError, QuantizeError, UnsupportedError, UsageError
    from quantize_cli.importance.read import read_importance
    from quantize_cli.inspection.model import Inspection
    from quantize_cli.mixes.tables import FORMATS
    from quantize_cli.observer import Observer
    from quantize_cli.planning.model import Plan
    from quantize_cli.previews.model import Preview
    from quantize_cli.report.model import Report
    from quantize_cli.report.several import Reports
    from quantize_cli.tasks import Task, read_tasks
    from quantize_cli.verification.model import Verification

__all__ = [
    "FORMATS",
    "Advice",
    "CheckpointError",
    "GateError",
    "Inspection",
    "Observer",
    "OutputError",
    "Plan",
    "Preview",
    "QuantizeError",
    "Report",
    "Reports",
    "Task",
    "UnsupportedError",
    "UsageError",
    "Verification",
    "__version__",
    "advise",
    "inspect",
    "open_checkpoint",
    "plan",
    "preview",
    "quantize",
    "read_importance",
    "read_tasks",
    "verify",
]

#: Name -> the module that defines it.
_HOMES = {
    "FORMATS": "mixes.tables",
    "Advice": "advice.model",
    "CheckpointError": "errors",
    "GateError": "errors",
    "Inspection": "inspection.model",
    "Observer": "observer",
    "OutputError": "errors",
    "Plan": "planning.model",
    "Preview": "previews.model",
    "QuantizeError": "errors",
    "Report": "report.model",
    "Reports": "report.several",
    "Task": "tasks",
    "UnsupportedError": "errors",
    "UsageError": "errors",
    "Verification": "verification.model",
    "advise": "api",
    "inspect": "api",
    "open_checkpoint": "checkpoints.open",
    "plan": "api",
    "preview": "api",
    "quantize": "api",
    "read_importance": "importance.read",
    "read_tasks": "tasks",
    "verify": "api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
