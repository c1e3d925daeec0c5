"""llama.cpp's own reader and writer of GGUF: the C functions that the wheel `xllamacpp` exports."""

from __future__ import annotations

import ctypes
from functools import cache

from oracle import ggml


class _InitParams(ctypes.Structure):
    _fields_ = [("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p)]


@cache
def _gguf() -> ctypes.CDLL:
    library = ggml.library()
    library.gguf_init_from_buffer.argtypes = [ctypes.c_char_p, ctypes.c_size_t, _InitParams]
    for name in ("gguf_init_from_buffer", "gguf_init_empty"):
        getattr(library, name).restype = ctypes.c_void_p
    for name in ("gguf_get_meta_size", "gguf_get_meta_data", "gguf_free"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.gguf_get_meta_size.restype = ctypes.c_size_t
    library.gguf_get_meta_data.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.gguf_set_kv.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.gguf_remove_key.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.gguf_set_val_u32.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
    library.ggml_blck_size.argtypes = library.ggml_type_size.argtypes = library.ggml_type_name.argtypes = [ctypes.c_int]
    library.ggml_blck_size.restype = ctypes.c_int64
    library.ggml_type_size.restype = ctypes.c_size_t
    library.ggml_type_name.restype = ctypes.c_char_p
    return library


def takes(content: bytes) -> bool:
    """Whether the reference reads the header of a file with this content."""
    context = _gguf().gguf_init_from_buffer(content, len(content), _InitParams(True, None))
    if context:
        _gguf().gguf_free(context)
    return bool(context)


def copied_metadata(content: bytes, set_anew: dict[str, int], removed: tuple[str, ...]) -> bytes:
    """The header, without tensors, that the reference makes of a file's metadata as llama-quantize copies it."""
    library = _gguf()
    source = library.gguf_init_from_buffer(content, len(content), _InitParams(True, None))
    target = library.gguf_init_empty()
    library.gguf_set_kv(target, source)
    for key, value in set_anew.items():
        library.gguf_set_val_u32(target, key.encode(), value)
    for key in removed:
        library.gguf_remove_key(target, key.encode())
    header = ctypes.create_string_buffer(library.gguf_get_meta_size(target))
    library.gguf_get_meta_data(target, header)
    library.gguf_free(source)
    library.gguf_free(target)
    return header.raw


def tensor_type(number: int) -> tuple[str, int, int]:
    """Name, elements in a block and its bytes of a type; the bytes are 0 for one that was removed."""
    library = _gguf()
    return library.ggml_type_name(number).decode(), library.ggml_blck_size(number), library.ggml_type_size(number)
