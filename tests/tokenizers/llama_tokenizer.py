"""llama.cpp's own tokenizer: the C functions that the wheel `xllamacpp` exports, called through ctypes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from oracle import ggml

from quantize_cli.gguf_file.fields import Field, ValueType, field
from quantize_cli.gguf_file.header import encode_header


class _ModelParams(ctypes.Structure):
    """llama.h's struct of that name, up to the last field that matters; callees read no further than their own end."""

    _fields_ = (
        ("devices", ctypes.c_void_p),
        ("buffer_types", ctypes.c_void_p),
        ("numbers", ctypes.c_int32 * 5),
        ("tensor_split", ctypes.c_void_p),
        ("progress", ctypes.c_void_p),
        ("progress_data", ctypes.c_void_p),
        ("overrides", ctypes.c_void_p),
        ("vocab_only", ctypes.c_bool),
        ("others", ctypes.c_bool * 31),
    )


@cache
def _llama() -> ctypes.CDLL:
    library = ggml.library()
    library.llama_log_set.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.llama_model_default_params.restype = _ModelParams
    library.llama_model_load_from_file.argtypes = [ctypes.c_char_p, _ModelParams]
    library.llama_model_load_from_file.restype = ctypes.c_void_p
    library.llama_model_get_vocab.argtypes = library.llama_model_free.argtypes = [ctypes.c_void_p]
    library.llama_model_get_vocab.restype = ctypes.c_void_p
    library.llama_tokenize.argtypes = [
        ctypes.c_void_p,  # vocabulary
        ctypes.c_char_p,  # text
        ctypes.c_int32,  # its bytes
        ctypes.POINTER(ctypes.c_int32),  # tokens
        ctypes.c_int32,  # room for so many
        ctypes.c_bool,  # add BOS and the like
        ctypes.c_bool,  # find special tokens in the text
    ]
    library.llama_log_set(_SILENT, None)
    library.llama_backend_init()
    return library


_ignore = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
_SILENT = ctypes.cast(_ignore, ctypes.c_void_p)


def load(path: Path | str) -> int | None:
    """The handle of the model that llama.cpp makes of a GGUF file's vocabulary, if it loads."""
    library = _llama()
    parameters = library.llama_model_default_params()
    parameters.vocab_only = True
    handle: int | None = library.llama_model_load_from_file(str(path).encode(), parameters)
    return handle


def token_ids(fields: Iterable[Field], texts: Iterable[str], path: Path, *, special: bool = False) -> list[list[int]]:
    """The token ids of texts, without BOS, in a GGUF file that has these fields; it is written to `path`.

    With `special`, special tokens are found in the texts.
    """
    path.write_bytes(encode_header((field("general.architecture", ValueType.STRING, "llama"), *fields), ()))
    library = _llama()
    model = load(path)
    assert model, f"llama.cpp does not load {path}"
    try:
        vocabulary = library.llama_model_get_vocab(model)
        return [_tokenize(vocabulary, text.encode(), special) for text in texts]
    finally:
        library.llama_model_free(model)


def _tokenize(vocabulary: int, text: bytes, special: bool) -> list[int]:
    room = len(text) + 8
    tokens = (ctypes.c_int32 * room)()
    count = _llama().llama_tokenize(vocabulary, text, len(text), tokens, room, False, special)
    assert 0 < count <= room
    return list(tokens[:count])


def loads(fields: Iterable[Field], path: Path) -> bool:
    """Whether llama.cpp loads the vocabulary of these fields, in a process of its own: its assertions end it."""
    path.write_bytes(encode_header((field("general.architecture", ValueType.STRING, "llama"), *fields), ()))
    code = "import sys, llama_tokenizer; sys.exit(0 if llama_tokenizer.load(sys.argv[1]) else 1)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GGML_NO_BACKTRACE": "1"}
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
