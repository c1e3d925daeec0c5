"""How what only kernels call is compiled: up to LLVM's intermediate code, which becomes machine code in the kernels.

Numba optimises every function and makes machine code of it before it links it into its callers, which optimise it
again. Nobody runs that first machine code, and to make it took a third of the time.
"""

from __future__ import annotations

from typing import Any

# Numba has no public interface for this. What is used of the private one was tried in 0.61.0, 0.64.0 and 0.68.1.
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler


class _NoEnvironments:
    """Takes the place of a code generator where Numba tells it the globals of a function that has an address."""

    @staticmethod
    def set_env(name: str, environment: Any) -> None:
        """Do nothing: no kernel reads them."""


class _Linked(JITCodeLibrary):
    """Code to be linked into other code; it has no address."""

    codegen = _NoEnvironments

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        """Leave that to the kernels."""

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, _name: str) -> int:
        """Return 0, as Numba does for what does not exist."""
        self._ensure_finalized()
        return 0


class LinkedCompiler(Compiler):
    """The compiler of a dispatcher whose function only kernels call."""

    def __init__(self, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        super().__init__(typing, target, library or _Linked(target.codegen(), "linked"), *rest)
