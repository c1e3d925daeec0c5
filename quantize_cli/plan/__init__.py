"""The plan: everything about the output that headers and configuration decide, before any weight is read.

The library's function `plan` has the room's name, and Python lets a package have only one of them as its attribute: it
is the room, which can be called.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallableRoom(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        from quantize_cli.api import plan

        return plan(*args, **options)


sys.modules[__name__].__class__ = _CallableRoom
