"""How Numba is imported: without the settings of the current folder, which may be an untrusted model's.

Numba obeys the file `.numba_config.yaml` of the current folder, when it is imported and whenever it compiles. A setting
can end the process, name a module to import, or switch the compiler off. The variables NUMBA_* are the user's own, and
stay in force. A process that has imported Numba before keeps what it has.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

_MODULE = "numba.core.config"
_FILE = ".numba_config.yaml"


class _WithoutFile(SourceFileLoader):
    """Loads Numba's module of settings with an empty name in place of the file's: no file has that."""

    def get_code(self, fullname: str) -> CodeType | None:
        code = super().get_code(fullname)
        return code and code.replace(co_consts=tuple("" if const == _FILE else const for const in code.co_consts))

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        sys.meta_path.remove(_Finder)


class _Finder:
    """Finds that one module, and is no longer asked when it is loaded."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == _MODULE else None
        if spec is not None and spec.origin is not None:
            spec.loader = _WithoutFile(name, spec.origin)
        return spec


if "numba" not in sys.modules:
    sys.meta_path.insert(0, _Finder)
