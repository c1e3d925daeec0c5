"""Files that were taken for a model: each is told for what it is, with what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from gguf_factory import file
from safetensors.numpy import save

from quantize_cli.gguf_file.other_files import START_BYTES, mistaken_for


def zip_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    return buffer.getvalue()


def tar_archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.safetensors"))
    return buffer.getvalue()


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


# (the file, what it is, what to do)
KINDS = {
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "run `git lfs pull`"),
    "page": (b"<!DOCTYPE html><html>", "a web page", "/resolve/ instead of /blob/"),
    "page with spaces": (b"\n  <HTML>", "a web page", "download the file itself"),
    "page with a mark": (b"\xef\xbb\xbf<html>", "a web page", "download the file itself"),
    "answer in XML": (b"<?xml version='1.0'?><Error>", "a web page", "download the file itself"),
    "GGUF": (file(), "a GGUF file", "ends in .gguf"),
    "swapped": (b"FUGG\0\0\0\3", "a GGUF file whose bytes are swapped", "little-endian"),
    "GGJT": (b"tjgg\3\0\0\0", "in GGML's format before GGUF", "take a GGUF file"),
    "GGMF": (b"fmgg\1\0\0\0", "in GGML's format before GGUF", "take a GGUF file"),
    "GGML": (b"lmgg\0\0\0\0", "in GGML's format before GGUF", "take a GGUF file"),
    "GGLA": (b"algg\1\0\0\0", "an adapter", "merge the adapter"),
    "zip": (zip_archive(), "a zip archive", "save it as safetensors"),
    "pickle": (pickle.dumps({"a": 1}, protocol=2), "a Python pickle", "save it as safetensors"),
    "HDF5": (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file", "save it as safetensors"),
    "NumPy": (array(), "a NumPy array", "save the model as safetensors"),
    "gzip": (gzip.compress(b"GGUF"), "compressed with gzip", "unpack it"),
    "bzip2": (bz2.compress(b"GGUF"), "compressed with bzip2", "unpack it"),
    "xz": (lzma.compress(b"GGUF"), "compressed with xz", "unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04", "compressed with zstd", "unpack it"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive", "unpack it"),
    "RAR": (b"Rar!\x1a\x07\1\0", "a RAR archive", "unpack it"),
    "tar": (tar_archive(), "a tar archive", "unpack it"),
    "safetensors": (save({"a": np.ones(2, np.float32)}), "a safetensors file", "ends in .safetensors"),
    "JSON": (b'{"error": "Repository not found"}', "JSON text", "look at it"),
    "zeros": (bytes(10_000), "filled with zeros", "download it again"),
    "empty": (b"", "empty", "download it again"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_told(kind):
    content, what, advice = KINDS[kind]
    said = mistaken_for(content[:START_BYTES], "an importance matrix")
    assert said is not None
    assert said.startswith(what)
    assert "so it cannot be read as an importance matrix; " in said
    assert advice in said


@pytest.mark.parametrize("content", [b"nothing known", b"\0\0\0\1", bytes(START_BYTES - 1) + b"\1"])
def test_what_is_not_known_is_not_claimed(content):
    assert mistaken_for(content, "a GGUF file") is None


def test_a_file_is_not_mistaken_for_itself():
    assert mistaken_for(KINDS["safetensors"][0], "a safetensors file") is None
    assert mistaken_for(KINDS["GGUF"][0], "a GGUF file") is None
