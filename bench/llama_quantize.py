"""The reference's `llama-quantize`, for a Python that has llama-cpp-python: prints the seconds of the call alone.

    python bench/llama_quantize.py IN.gguf OUT.gguf FILE_TYPE THREADS

FILE_TYPE is llama.cpp's number (15 is Q4_K_M). The time leaves out Python's start and import, which the reference's
own program does not have. Nothing of this project is needed here.
"""

from __future__ import annotations

import ctypes
import sys
import time

import llama_cpp


def main() -> None:
    """Quantize one file."""
    source, target, file_type, threads = sys.argv[1:]
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.nthread = int(threads)
    parameters.ftype = int(file_type)
    started = time.perf_counter()
    failed = llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters))
    seconds = time.perf_counter() - started
    if failed:
        sys.exit(f"llama_model_quantize could not quantize {source}")
    print(seconds)


if __name__ == "__main__":
    main()
