"""Models that are GGUF files already, their metadata held against the reference's own copying."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from gguf import GGUFValueType
from gguf_factory import array, field, file, line, text, write_gguf
from oracle import gguf as reference
from oracle.ggml import needs_ggml

from quantize_cli.architectures.describe import describe
from quantize_cli.architectures.description import TensorRecipe
from quantize_cli.checkpoints.open import open_checkpoint
from quantize_cli.errors import UsageError
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.gguf_file.header import encode_header
from quantize_cli.mixes.traits import ModelTraits
from quantize_cli.planning.traits import traits_of

V = GGUFValueType


def number(key: str, value: int, value_type: GGUFValueType = V.UINT32) -> bytes:
    layouts = {V.UINT16: "<H", V.UINT32: "<I", V.INT32: "<i", V.FLOAT32: "<f"}
    return field(key, value_type, struct.pack(layouts[value_type], value))


ARCHITECTURE = field("general.architecture", V.STRING, text("llama"))
LAYERS = number("llama.block_count", 3)
NEEDED = (ARCHITECTURE, LAYERS)


@pytest.fixture
def described(tmp_path):
    """(fields) -> the description of a file with these fields and two tensors."""

    def make(*fields: bytes):
        path = tmp_path / "tiny-F16.gguf"
        path.write_bytes(file(fields, (line("b.weight", (4, 3)), line("a.weight", (2,), 1, 64)), bytes(68)))
        return describe(open_checkpoint(path))

    return make


#: Everything that copying has to mind: order, what is set anew, what is removed, zero bytes, bytes that are no text.
COPIED = (
    number("general.file_type", 1),
    ARCHITECTURE,
    field("general.name", V.STRING, text("Tiny\0 and more")),
    number("general.quantization_version", 2),
    LAYERS,
    number("split.no", 0, V.UINT16),
    number("split.count", 0, V.UINT16),
    number("split.tensors.count", 2, V.INT32),
    array("tokenizer.ggml.tokens", V.STRING, 3, text("a") + text("\0b") + text(b"\xff\0")),
    array("tokenizer.ggml.scores", V.FLOAT32, 2, struct.pack("<2f", 0.1, -1e30)),
    array("tokenizer.ggml.merges", V.STRING, 0, b""),
    array("flags", V.BOOL, 2, b"\1\0"),
    field("text.bytes", V.STRING, text(b"\xff")),
    number("general.alignment", 32),
)
SPLIT = ("split.no", "split.count", "split.tensors.count")


@needs_ggml
def test_metadata_is_copied_as_the_reference_copies_it(described):
    """What the plan adds at the end is what the reference sets anew, which moves it there."""
    end = (Field("general.quantization_version", ValueType.UINT32, 2), Field("general.file_type", ValueType.UINT32, 15))
    ours = encode_header((*described(*COPIED).metadata, *end), ())
    assert ours == reference.copied_metadata(file(COPIED), {held.key: held.value for held in end}, SPLIT)


def test_an_alignment_that_the_output_does_not_have_is_left_out(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(file((*NEEDED, number("general.alignment", 64)), (line("a", (1,)),), bytes(4), alignment=64))
    assert [held.key for held in describe(open_checkpoint(path)).metadata] == [
        "general.architecture",
        "llama.block_count",
    ]


def test_tensors_stay_as_they_are(described):
    assert described(*NEEDED).recipes == (
        TensorRecipe("b.weight", (3, 4), ("b.weight",), stored_type="F32"),
        TensorRecipe("a.weight", (2,), ("a.weight",), stored_type="F16"),
    )


@pytest.mark.parametrize(
    ("fields", "noted"),
    [
        (NEEDED, True),
        ((*NEEDED, field("tokenizer.ggml.model", V.STRING, text("gpt2"))), False),
        ((field("general.architecture", V.STRING, text("clip")),), False),
    ],
)
def test_a_model_without_a_tokenizer_is_noted(described, fields, noted):
    notes = described(*fields).notes
    assert len(notes) == noted
    assert all("lacks tokenizer.ggml.model, and llama.cpp does not load a model without" in note for note in notes)


HEADS, KV_HEADS = "llama.attention.head_count", "llama.attention.head_count_kv"


def each(key: str, *values: int) -> bytes:
    return array(key, V.INT32, len(values), struct.pack(f"<{len(values)}i", *values))


@pytest.mark.parametrize(
    ("fields", "traits"),
    [
        ((), ModelTraits.of("llama", 3, 0, 0)),
        ((number(HEADS, 8),), ModelTraits.of("llama", 3, 8, 8)),
        ((number(HEADS, 8), number(KV_HEADS, 2)), ModelTraits.of("llama", 3, 8, 2)),
        ((number(HEADS, 8), number(KV_HEADS, 0)), ModelTraits.of("llama", 3, 8, 0)),
        ((each(HEADS, 8, 4, 4), each(KV_HEADS, 2, 1, 4)), ModelTraits.of("llama", 3, 8, 2)),
        ((number(HEADS, 8), each(KV_HEADS, 0, 1, 4)), ModelTraits.of("llama", 3, 8, 0)),
        ((number(HEADS, 8), number("llama.expert_count", 4)), ModelTraits.of("llama", 3, 8, 8, 4)),
        ((number("llama.nextn_predict_layers", 1),), ModelTraits.of("llama", 3, 0, 0)),
    ],
)
def test_traits(described, fields, traits):
    assert traits_of(described(*NEEDED, *fields).metadata) == traits


def test_keys_are_of_the_architecture(tmp_path):
    fields = {"bert.block_count": (2, V.UINT32), "llama.block_count": (5, V.UINT32)}
    write_gguf(tmp_path / "model.gguf", {"a": np.ones(1, np.float32)}, fields, architecture="bert")
    metadata = describe(open_checkpoint(tmp_path / "model.gguf")).metadata
    assert traits_of(metadata) == ModelTraits.of("bert", 2, 0, 0)


def test_a_pre_tokenizer_is_not_to_be_chosen(tmp_path):
    write_gguf(tmp_path / "model.gguf", {"a": np.ones(1, np.float32)}, {})
    with pytest.raises(UsageError, match=r"model is a GGUF model, .* leave --pre-tokenizer out"):
        describe(open_checkpoint(tmp_path / "model.gguf"), "gpt-2")
