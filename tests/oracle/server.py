"""The processes in which `oracle.ggml` lets the reference quantize: `python -IS server.py LIBRARY TYPE`.

An assertion of the reference's that fails ends its process, and the tables that some types need take up to 20 s to
make. So one process makes the tables of a type once, for all processes of the tests, and answers nothing itself. For
each connection it forks one that keeps a child, which answers until the reference ends it, and then the next child.
Small as they are (no NumPy, no Numba), a fork takes well under a millisecond.

Standard input is a Unix socket that listens. A connection holds, as often as there is a question (little-endian):

    question  int32 type, int32 whether there is importance, int64 rows, int64 columns;
              float32 rows[rows, columns]; float32 importance[columns], if there is any
    answer    int64 size, or -1 where the reference ended the child; uint8 packed[size]

The processes end soon after the last connection.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress

QUESTION = struct.Struct("<iiqq")
ANSWER = struct.Struct("<q")
ABORTED = -1
#: Seconds without a connection after which the processes end.
IDLE = 5


def _load(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    library.ggml_quantize_init.argtypes = [ctypes.c_int]
    library.ggml_quantize_init.restype = None
    library.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    library.ggml_row_size.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int,  # type
        ctypes.c_char_p,  # float32 values
        ctypes.c_void_p,  # packed rows
        ctypes.c_int64,  # number of the first value
        ctypes.c_int64,  # rows
        ctypes.c_int64,  # columns
        ctypes.c_char_p,  # importance of the columns, or NULL
    ]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    return library


def _serve(library: ctypes.CDLL, connection: int) -> None:
    """Answer until nobody asks any more."""
    with open(connection, "rb", buffering=0) as questions, open(connection, "wb", closefd=False) as answers:

        def read(size: int) -> bytes:
            parts = []
            while size and (part := questions.read(size)):
                parts.append(part)
                size -= len(part)
            return b"".join(parts)

        while head := read(QUESTION.size):
            kind, weighted, count, columns = QUESTION.unpack(head)
            rows = read(4 * count * columns)
            importance = read(4 * columns) if weighted else None
            packed = ctypes.create_string_buffer(count * library.ggml_row_size(kind, columns))
            written = library.ggml_quantize_chunk(kind, rows, packed, 0, count, columns, importance)
            answers.write(ANSWER.pack(written) + packed.raw[:written])
            answers.flush()


def _keep_answering(library: ctypes.CDLL, connection: int) -> None:
    """Fork a child to answer, and the next one where the reference ends it."""
    while True:
        child = os.fork()
        if child == 0:
            _serve(library, connection)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status == 0:
            return
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGABRT:
            return  # who asked finds the connection closed
        os.write(connection, ANSWER.pack(ABORTED))


def _no_children() -> bool:
    """Whether the processes of all connections are gone."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return False
    return True


def main() -> None:
    """Make the tables of a type, and keep a process for each connection."""
    if os.fork():
        return  # whoever started this need not wait
    listener = socket.socket(fileno=0)
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):  # the reference prints there: while it makes some tables, and its last words
        os.dup2(silence, stream)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["GGML_NO_BACKTRACE"] = "1"
    library = _load(sys.argv[1])
    library.ggml_quantize_init(int(sys.argv[2]))
    listener.settimeout(IDLE)
    while True:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            if _no_children():
                return
            continue
        if os.fork() == 0:
            listener.close()
            _keep_answering(library, connection.fileno())
            os._exit(0)
        connection.close()


if __name__ == "__main__":
    main()
