"""llama.cpp's own loader: the C functions that the wheel `xllamacpp` exports, called through ctypes."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

from oracle import ggml

_ERROR = 4  # enum ggml_log_level

_said: list[str] = []


class _Params(ctypes.Structure):
    """llama.h's llama_model_params, of which no field is set; callees read and write no further than its own end."""

    _fields_ = (("fields", ctypes.c_uint64 * 64),)


def _log(level: int, said: bytes, _: object) -> None:
    if level == _ERROR:
        _said.append(said.decode("utf-8", "replace").strip())


_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(_log)


@cache
def prepare() -> ctypes.CDLL:
    """Load the library."""
    library = ggml.library()
    library.llama_log_set.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.llama_model_default_params.restype = _Params
    library.llama_model_load_from_file.argtypes = [ctypes.c_char_p, _Params]
    library.llama_model_load_from_file.restype = ctypes.c_void_p
    library.llama_model_free.argtypes = [ctypes.c_void_p]
    library.llama_log_set(ctypes.cast(_LOG, ctypes.c_void_p), None)
    library.llama_backend_init()
    return library


def load(path: Path) -> str | None:
    """Load a model with its weights; return why llama.cpp refuses it, or None. The worst files end the process."""
    _said.clear()
    library = prepare()
    model = library.llama_model_load_from_file(str(path).encode(), library.llama_model_default_params())
    if not model:
        return "; ".join(_said) or "no reason given"
    library.llama_model_free(model)
    return None
