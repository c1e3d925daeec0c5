"""The process in which `oracle.ggml` lets the reference quantize: `python -IS server.py LIBRARY TYPE`.

An assertion of the reference's that fails ends its process, and the tables that some types need take seconds to make.
So this process makes the tables once and answers nothing itself: it forks a child that answers until the reference
ends it, and then the next one. Small as it is (no NumPy, no Numba), a fork takes well under a millisecond.

Standard input and output hold, as often as there is a question (little-endian):

    question  int32 type, int32 whether there is importance, int64 rows, int64 columns;
              float32 rows[rows, columns]; float32 importance[columns], if there is any
    answer    int64 size, or -1 where the reference ended the child; uint8 packed[size]
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys

QUESTION = struct.Struct("<iiqq")
ANSWER = struct.Struct("<q")
ABORTED = -1


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


def _serve(library: ctypes.CDLL, answers_fd: int) -> None:
    """Answer until nobody asks any more."""
    with open(0, "rb", buffering=0) as questions, open(answers_fd, "wb") as answers:

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


def main() -> None:
    """Make the tables of a type, and keep a child answering."""
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # the reference prints there while it makes some tables
    library = _load(sys.argv[1])
    library.ggml_quantize_init(int(sys.argv[2]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["GGML_NO_BACKTRACE"] = "1"
    while True:
        child = os.fork()
        if child == 0:
            os.dup2(silence, 2)  # the reference's last words
            _serve(library, answers)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status == 0:
            return
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGABRT:
            sys.exit(f"The reference's process ended with status {status}.")
        os.write(answers, ANSWER.pack(ABORTED))


if __name__ == "__main__":
    main()
