"""llama.cpp's own quantizer: the C functions of GGML that the wheel `xllamacpp` exports, called through ctypes."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType
from numpy.typing import NDArray

from oracle import server

#: Finding a top-level package's spec does not import it, and ctypes needs only the path of its shared library.
_SPEC = find_spec("xllamacpp")

INSTALLED = _SPEC is not None
#: Mark of the tests that call the reference.
needs_ggml = pytest.mark.skipif(not INSTALLED, reason="the reference, the wheel xllamacpp, is not installed")


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


def _path() -> str:
    assert _SPEC is not None
    assert _SPEC.origin is not None
    (path,) = Path(_SPEC.origin).parent.glob("xllamacpp*.so")
    return str(path)


@cache
def library() -> ctypes.CDLL:
    """The reference in this process, for what cannot end it."""
    found = ctypes.CDLL(_path())
    found.ggml_get_type_traits.argtypes = [ctypes.c_int]
    found.ggml_get_type_traits.restype = ctypes.POINTER(_TypeTraits)
    found.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    found.ggml_row_size.restype = ctypes.c_size_t
    return found


def row_bytes(ggml_type: int, columns: int) -> int:
    """Bytes of a packed row of `columns` weights."""
    return int(library().ggml_row_size(ggml_type, columns))


class AbortedError(Exception):
    """The reference has ended its process: an assertion of its own failed."""


#: Types that share another type's table.
_TABLES: dict[int, int] = {GGMLQuantizationType.IQ1_M: GGMLQuantizationType.IQ1_S}
#: Types whose tables take up to a quarter of a minute to make.
_WITH_TABLES = frozenset(
    getattr(GGMLQuantizationType, name) for name in ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S")
)


class _Server:
    """A connection to the process that has made the tables of a type, for one question after the other."""

    def __init__(self, ggml_type: int) -> None:
        self._connection = _connected(ggml_type)
        self._answers = self._connection.makefile("rb")
        self._owed: int | None = None

    def ask(self, question: bytes, nbytes: int) -> None:
        """Send a question whose answer takes so many bytes."""
        if self._owed is not None:  # a test failed before it took its answer
            with suppress(AbortedError):
                self.answer()
        self._connection.sendall(question)
        self._owed = nbytes

    def answer(self) -> bytes:
        """The packed rows.

        Raises:
            AbortedError: the reference ended the process that was asked.
        """
        expected, self._owed = self._owed, None
        (size,) = server.ANSWER.unpack(self._read(server.ANSWER.size))
        if size == server.ABORTED:
            raise AbortedError
        assert size == expected
        return self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._answers.read(size)
        assert len(data) == size, "the reference's server is gone"
        return data


#: Where the servers listen.
_folder: Path | None = None


def share_servers(folder: Path) -> None:
    """Share servers with all processes that pass the same folder; must be called before the first question."""
    global _folder
    _folder = folder


def _connected(ggml_type: int) -> socket.socket:
    """A connection to the type's server, which is started if there is none."""
    assert _folder is not None
    path = _folder / f"{ggml_type}.socket"
    connection = socket.socket(socket.AF_UNIX)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes, one starts the server
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            path.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
                listener.listen()
                command = [sys.executable, "-I", "-S", server.__file__, _path(), str(int(ggml_type))]
                subprocess.run(command, stdin=listener.fileno(), check=True)
            connection.connect(str(path))
    return connection


@cache
def _server(ggml_type: int) -> _Server:
    return _Server(ggml_type)


def _server_for(ggml_type: int) -> _Server:
    """All types without a table share one, that of type 0."""
    return _server(int(_TABLES.get(ggml_type, ggml_type)) if ggml_type in _WITH_TABLES else 0)


def prepare(ggml_types: Iterable[int]) -> None:
    """Begin to make the tables of these types, so that the first question need not wait for them."""
    for ggml_type in ggml_types:
        _server_for(ggml_type)


def ask(
    ggml_type: int, rows: NDArray[np.float32], importance: NDArray[np.float32] | None = None
) -> Callable[[], NDArray[np.uint8]]:
    """Begin to quantize rows float32[n, k], with importance float32[k] or without, in another process.

    The answer is a function that waits for the packed rows uint8[n, row_bytes(k)]; it must be called before the next
    question, and raises AbortedError where the reference ended its process, as it does if importance is missing.
    """
    assert rows.dtype == np.float32
    assert rows.ndim == 2
    assert importance is None or (importance.dtype == np.float32 and importance.shape == rows.shape[1:])
    asked = _server_for(ggml_type)
    head = server.QUESTION.pack(ggml_type, importance is not None, *rows.shape)
    question = head + rows.tobytes() + (b"" if importance is None else importance.tobytes())
    asked.ask(question, len(rows) * row_bytes(ggml_type, rows.shape[1]))

    def answer() -> NDArray[np.uint8]:
        return np.frombuffer(asked.answer(), np.uint8).reshape(len(rows), -1)

    return answer


def quantize(
    ggml_type: int, rows: NDArray[np.float32], importance: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """Rows float32[n, k], with importance float32[k] or without -> packed uint8[n, row_bytes(k)].

    Raises:
        AbortedError: the reference ended its process.
    """
    return ask(ggml_type, rows, importance)()


def dequantize(ggml_type: int, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Packed rows uint8[n, row_bytes(k)], of a type other than F32 -> float32[n, k]."""
    assert packed.flags.c_contiguous
    traits = library().ggml_get_type_traits(ggml_type).contents
    assert packed.shape[1] % traits.block_bytes == 0
    rows = np.empty((len(packed), packed.shape[1] // traits.block_bytes * traits.block_size), np.float32)
    traits.to_float(packed.ctypes.data, rows.ctypes.data, rows.size)
    return rows
