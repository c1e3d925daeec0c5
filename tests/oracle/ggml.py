"""llama.cpp's own quantizer: the C functions of GGML that the wheel `xllamacpp` exports, called through ctypes."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

#: Finding a top-level package's spec does not import it, and ctypes needs only the path of its shared library.
_SPEC = find_spec("xllamacpp")

#: Mark of the tests that call the reference.
needs_ggml = pytest.mark.skipif(_SPEC is None, reason="the reference, the wheel xllamacpp, is not installed")


class _TypeTraits(ctypes.Structure):
    """The head of ggml.h's struct of that name."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("block_size", ctypes.c_int64),
        ("block_size_interleave", ctypes.c_int64),
        ("block_bytes", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
    )


@cache
def _library() -> ctypes.CDLL:
    assert _SPEC is not None
    assert _SPEC.origin is not None
    (path,) = Path(_SPEC.origin).parent.glob("xllamacpp*.so")
    library = ctypes.CDLL(str(path))
    library.ggml_quantize_init.argtypes = [ctypes.c_int]
    library.ggml_quantize_init.restype = None
    library.ggml_get_type_traits.argtypes = [ctypes.c_int]
    library.ggml_get_type_traits.restype = ctypes.POINTER(_TypeTraits)
    library.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,  # type
        ctypes.c_void_p,  # float32 values
        ctypes.c_void_p,  # packed rows
        ctypes.c_int64,  # number of the first value
        ctypes.c_int64,  # rows
        ctypes.c_int64,  # columns
        ctypes.c_void_p,  # importance of the columns, or NULL
    ]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library


def row_bytes(ggml_type: int, columns: int) -> int:
    """Bytes of a packed row of `columns` weights."""
    return int(_library().ggml_row_size(ggml_type, columns))


class AbortedError(Exception):
    """The reference has ended its process: an assertion of its own failed."""


#: Types whose search asserts that something was found, which is not so where errors overflow.
_ASSERTING = frozenset(
    getattr(GGMLQuantizationType, name) for name in ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S")
)


def quantize(
    ggml_type: int, rows: NDArray[np.float32], importance: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """Rows float32[n, k], with importance float32[k] or without -> packed uint8[n, row_bytes(k)].

    A type that needs importance and gets none ends the process; those of which it is known that they may end it for
    other reasons run in a child.

    Raises:
        AbortedError: the child was ended.
    """
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    assert importance is None or (importance.dtype == np.float32 and importance.shape == rows.shape[1:])
    _library().ggml_quantize_init(ggml_type)
    return (
        _in_a_child(ggml_type, rows, importance) if ggml_type in _ASSERTING else _quantize(ggml_type, rows, importance)
    )


def _quantize(ggml_type: int, rows: NDArray[np.float32], importance: NDArray[np.float32] | None) -> NDArray[np.uint8]:
    library = _library()
    count, columns = rows.shape
    packed = np.empty((count, row_bytes(ggml_type, columns)), np.uint8)
    weights = None if importance is None else importance.ctypes.data
    written = library.ggml_quantize_chunk(ggml_type, rows.ctypes.data, packed.ctypes.data, 0, count, columns, weights)
    assert written == packed.nbytes
    return packed


def _in_a_child(ggml_type: int, rows: NDArray[np.float32], importance: NDArray[np.float32] | None) -> NDArray[np.uint8]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ["GGML_NO_BACKTRACE"] = "1"
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(_quantize(ggml_type, rows, importance).tobytes())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    if os.waitpid(child, 0)[1] != 0:
        raise AbortedError
    return np.frombuffer(data, np.uint8).reshape(len(rows), -1)


def dequantize(ggml_type: int, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Packed rows uint8[n, row_bytes(k)], of a type other than F32 -> float32[n, k]."""
    assert packed.flags.c_contiguous
    traits = _library().ggml_get_type_traits(ggml_type).contents
    assert packed.shape[1] % traits.block_bytes == 0
    rows = np.empty((len(packed), packed.shape[1] // traits.block_bytes * traits.block_size), np.float32)
    traits.to_float(packed.ctypes.data, rows.ctypes.data, rows.size)
    return rows
