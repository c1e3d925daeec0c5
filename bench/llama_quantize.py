"""The reference's `llama-quantize`, for a Python that has llama-cpp-python: prints wall and CPU seconds of the call.

    python bench/llama_quantize.py IN.gguf OUT.gguf FILE_TYPE THREADS [IMATRIX.gguf]

FILE_TYPE is llama.cpp's number (15 is Q4_K_M). The time leaves out Python's start and import, which the reference's
own program does not have, and the reading of the importance matrix, which comes from the .npz beside IMATRIX.gguf.
Nothing of this project is needed here.
"""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path

import llama_cpp
import numpy as np


def main() -> None:
    """Quantize one file."""
    source, target, file_type, threads, *imatrix = sys.argv[1:]
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.nthread = int(threads)
    parameters.ftype = int(file_type)
    held = _use_importance(parameters, Path(imatrix[0])) if imatrix else None
    started, cpu_started = time.perf_counter(), time.process_time()
    failed = llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    del held
    if failed:
        sys.exit(f"llama_model_quantize could not quantize {source}")
    print(seconds, cpu_seconds)


def _use_importance(parameters: ctypes.Structure, imatrix: Path) -> list[object]:
    """Set what llama-quantize sets (tools/quantize/quantize.cpp); returns what must live as long as the parameters."""
    entries = {name: np.ascontiguousarray(data) for name, data in np.load(imatrix.with_suffix(".npz")).items()}
    matrix = (llama_cpp.llama_model_imatrix_data * (len(entries) + 1))()
    for place, (name, data) in zip(matrix, entries.items(), strict=False):
        place.name, place.size = name.encode(), data.size
        place.data = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    metadata = {"file": str(imatrix)[:127], "dataset": "random", "entries_count": len(entries), "chunks_count": 1}
    overrides = (llama_cpp.llama_model_kv_override * (len(metadata) + 1))()
    for place, (key, value) in zip(overrides, metadata.items(), strict=False):
        place.key = f"quantize.imatrix.{key}".encode()
        if isinstance(value, str):
            place.tag, place.value.val_str = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_STR, value.encode()
        else:
            place.tag, place.value.val_i64 = llama_cpp.LLAMA_KV_OVERRIDE_TYPE_INT, value
    parameters.imatrix = ctypes.cast(matrix, ctypes.POINTER(llama_cpp.llama_model_imatrix_data))
    parameters.kv_overrides = ctypes.cast(overrides, ctypes.POINTER(llama_cpp.llama_model_kv_override))
    return [entries, matrix, overrides]


if __name__ == "__main__":
    main()
