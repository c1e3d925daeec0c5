"""Small GGUF files to quantize, and importance matrices for them: the same bytes on every machine.

Nothing of this project writes them: the `gguf` package does, and the bytes of importance matrices of the old kind are
packed here. Only names, shapes and metadata matter to llama-quantize, not whether the model makes sense, so matrices
keep the row lengths that decide types and fallbacks and have few rows.

    folder/
      dense-256.gguf  dense-odd.gguf  moe.gguf ...                               SOURCES
      dense-256-0000N-of-00004.gguf                                              the same model in four files
      SOURCE.imatrix.gguf  dense-256.imatrix.dat  moe.imatrix.dat                importance matrices
      dense-256.names.imatrix.gguf  LONG_FOLDER/imatrix.gguf                     names longer than 127 bytes
      tensor-types.txt                                                           for --tensor-type-file
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter
from golden.small_checkpoints import bell, matrix
from numpy.typing import NDArray

Shape = tuple[int, ...]
Float32s = NDArray[np.float32]

SPLIT_TENSORS = 30  # in each file of the split dense-256
CHUNKS = 7  # of CHUNK_SIZE tokens, which every importance matrix was "computed" with
CHUNK_SIZE = 512
#: As long as a file system allows in one step: llama-quantize keeps 127 bytes of the path.
LONG_FOLDER = "an-importance-matrix-in-a-folder-of-a-long-name-" * 3
#: The 127th and the 128th byte are the two halves of one letter.
LONG_DATASET = "calibration/" + "x" * 114 + "é-and-more.txt"
TENSOR_TYPES = r"""
blk\.[0-4]\.ffn_down=q6_K
ffn_down=IQ4_NL   attn_(q|k)\.weight=q5_1
ATTN_V=f16
"""


@dataclass(frozen=True)
class Source:
    """A GGUF file to build."""

    name: str
    architecture: str
    sizes: Mapping[str, Any]  #: the architecture's metadata, in its own names
    matrices: Mapping[str, Shape]  #: of NumPy's order; their names in the model
    vectors: Mapping[str, int] = field(default_factory=dict)
    dtype: str = "bfloat16"
    float32: tuple[str, ...] = ("ffn_gate_inp.weight",)  #: ends of names of matrices in float32: converters' routers
    integers: tuple[str, ...] = ()  #: the same of int32
    more: Mapping[str, tuple[Any, GGUFValueType]] = field(default_factory=dict)  #: other metadata
    unmeasured: tuple[str, ...] = ()  #: matrices that the importance matrix leaves out


def layers(count: int, matrices: Mapping[str, Shape]) -> dict[str, Shape]:
    """The matrices of `count` layers. Layers have a row or two more than others, so that rows rarely fill a lane."""
    return {
        f"blk.{layer}.{name}.weight": (*shape[:-2], shape[-2] + layer % 3, shape[-1])
        for layer in range(count)
        for name, shape in matrices.items()
    }


def norms(count: int, size: int, *names: str) -> dict[str, int]:
    """The vectors of `count` layers, and the last norm."""
    return {"output_norm.weight": size} | {f"blk.{layer}.{name}": size for layer in range(count) for name in names}


def sizes(layers: int, hidden: int, ffn: int, heads: int, kv_heads: int, **more: Any) -> dict[str, Any]:
    """What every architecture's metadata has."""
    return {
        "block_count": layers,
        "context_length": 2048,
        "embedding_length": hidden,
        "feed_forward_length": ffn,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 10000.0,
        **more,
    }


#: Every type of value, and strings that are not ASCII, for what must pass through unchanged.
EVERY_TYPE: Mapping[str, tuple[Any, GGUFValueType]] = {
    "test.uint8": (255, GGUFValueType.UINT8),
    "test.int8": (-128, GGUFValueType.INT8),
    "test.uint16": (65535, GGUFValueType.UINT16),
    "test.int16": (-32768, GGUFValueType.INT16),
    "test.int32": (-(2**31), GGUFValueType.INT32),
    "test.float32": (-0.0, GGUFValueType.FLOAT32),
    "test.bool": (True, GGUFValueType.BOOL),
    "test.string": ("ein Größenvergleich: 模型 🦙", GGUFValueType.STRING),
    "test.uint64": (2**64 - 1, GGUFValueType.UINT64),
    "test.int64": (-(2**63), GGUFValueType.INT64),
    "test.float64": (1e-300, GGUFValueType.FLOAT64),
    "test.strings": (["<s>", "", "▁a", "\n"], GGUFValueType.ARRAY),
    "test.floats": ([0.5, -1.0, 1e10], GGUFValueType.ARRAY),
    "test.ints": ([3, -1, 2], GGUFValueType.ARRAY),
    "test.bools": ([True, False, True], GGUFValueType.ARRAY),
    "general.file_type": (32, GGUFValueType.UINT32),
    "general.quantization_version": (2, GGUFValueType.UINT32),
}

DENSE = ("attn_norm.weight", "ffn_norm.weight")
LAYER_NORM = {"attention.layer_norm_epsilon": 1e-5}

#: Matrices that llama-quantize leaves as they are, by their names.
UNTOUCHED = (
    *("position_embd.weight", "token_types.weight", "per_layer_model_proj.weight", "v.position_embd.weight"),
    *("sam.pos_embd.weight", "sam.neck.0.weight", "sam.net_2.weight", "v.blk.0.rel_pos.weight", "v.patch_embd.weight"),
    *("mm.patch_merger.weight", "a.rvq.codebook.weight", "mm.a.code_embd.weight", "blk.0.altup_proj.weight"),
    *("blk.0.laurel_l.weight", "blk.0.ffn_gate_inp.weight", "blk.0.ffn_gate_tid2eid.weight", "blk.0.ssm_conv1d.weight"),
    *("blk.0.shortconv.conv.weight", "blk.0.indexer.k_proj.weight", "blk.0.indexer.q_proj.weight"),
    *(f"blk.0.time_mix_{name}.weight" for name in ("first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2")),
    *(f"blk.0.time_mix_{name}.weight" for name in ("g1", "g2", "decay_w1", "decay_w2", "lerp_fused")),
    *("blk.0.attn_rel_b.weight", "blk.0.attn_q_norm.weight", "blk.0.attn_q.bias", "blk.0.ssm_a"),
)
#: Others with names of more than one layer's kind, and of three dimensions without experts.
UNUSUAL: Mapping[str, Shape] = {
    "per_layer_token_embd.weight": (9, 256),
    "cls.weight": (5, 256),
    "token_embd.weight": (33, 256),
    "dec.blk.0.attn_v.weight": (3, 256),
    "enc.blk.0.attn_v.weight": (3, 256),
    "v.blk.0.attn_q.weight": (5, 256),
    "blk.1.attn_kv_b.weight": (7, 256),
    "blk.1.attn_k_b.weight": (4, 3, 256),
    "blk.1.ssm_in.weight": (6, 256),
    "blk.0.attn_k_b.scale": (4, 256),
}

SOURCES = (
    # 11 layers: an eighth is one, every third counts, and blk.10 sorts before blk.2. 4 heads on 1: attn_v takes more.
    Source(
        "dense-256",
        "llama",
        sizes(11, 256, 512, 4, 1),
        {
            "token_embd.weight": (65, 256),
            **layers(
                11,
                {
                    "attn_q": (24, 256),
                    "attn_k": (6, 256),
                    "attn_v": (6, 256),
                    "attn_output": (24, 256),
                    "ffn_gate": (25, 256),
                    "ffn_up": (25, 256),
                    "ffn_down": (24, 512),
                },
            ),
            "output.weight": (66, 256),
        },
        norms(11, 256, *DENSE),
        more=EVERY_TYPE,
        unmeasured=("blk.3.attn_v.weight", "blk.10.attn_v.weight", "output.weight"),
    ),
    # Rows of 288 divide by 32 alone, of 320 by 64, of 400 by neither; those of 512 fit every type. Embeddings are tied.
    Source(
        "dense-odd",
        "llama",
        sizes(9, 288, 400, 4, 4),
        {
            **layers(
                9,
                {
                    "attn_q": (20, 288),
                    "attn_k": (10, 288),
                    "attn_v": (10, 320),
                    "attn_output": (16, 512),
                    "ffn_gate": (24, 288),
                    "ffn_up": (24, 320),
                    "ffn_down": (21, 400),
                },
            ),
            "token_embd.weight": (67, 288),
        },
        norms(9, 288, *DENSE),
        dtype="float16",
        float32=("3.attn_q.weight", "ffn_gate.weight"),
        unmeasured=("blk.2.ffn_up.weight",),
    ),
    # 8 experts have rules of their own; 4 heads on 2.
    Source(
        "moe",
        "llama",
        sizes(9, 256, 512, 4, 2, expert_count=8, expert_used_count=2),
        {
            "token_embd.weight": (65, 256),
            **layers(
                9,
                {
                    "attn_q": (16, 256),
                    "attn_k": (8, 256),
                    "attn_v": (8, 256),
                    "attn_output": (16, 256),
                    "ffn_gate_exps": (8, 5, 256),
                    "ffn_up_exps": (8, 5, 256),
                    "ffn_down_exps": (8, 4, 512),
                    "ffn_gate_inp": (8, 256),
                },
            ),
            "output.weight": (66, 256),
        },
        norms(9, 256, *DENSE),
        unmeasured=("blk.1.attn_v.weight",),
    ),
    # 16 experts have no rules; shared experts, biases, and experts' rows that divide by 32 alone.
    Source(
        "moe-qwen",
        "qwen2moe",
        sizes(8, 256, 1024, 4, 4, expert_count=16, expert_used_count=4, expert_feed_forward_length=96),
        {
            "token_embd.weight": (65, 256),
            **layers(
                8,
                {
                    "attn_q": (16, 256),
                    "attn_k": (8, 256),
                    "attn_v": (8, 256),
                    "attn_output": (16, 256),
                    "ffn_gate_exps": (16, 3, 256),
                    "ffn_up_exps": (16, 3, 256),
                    "ffn_down_exps": (16, 4, 96),
                    "ffn_gate_inp": (16, 256),
                    "ffn_gate_shexp": (9, 256),
                    "ffn_up_shexp": (9, 256),
                    "ffn_down_shexp": (9, 768),
                },
            ),
            "output.weight": (66, 256),
        },
        norms(8, 256, *DENSE, "attn_q.bias", "attn_k.bias", "attn_v.bias", "ffn_gate_inp_shexp.weight"),
    ),
    # Experts of more rows than one slab of work holds, so that its borders fall within experts.
    Source(
        "moe-wide",
        "llama",
        sizes(1, 512, 512, 4, 1, expert_count=5, expert_used_count=2),
        {
            "token_embd.weight": (65, 512),
            "blk.0.ffn_up_exps.weight": (5, 321, 512),
            "blk.0.ffn_down_exps.weight": (5, 31, 512),
            "output.weight": (66, 512),
        },
        norms(1, 512, *DENSE),
    ),
    # Falcon has rules of its own, and attn_qkv; a sixteenth of 17 layers is one.
    Source(
        "falcon",
        "falcon",
        sizes(17, 256, 1024, 4, 1, **LAYER_NORM),
        {
            "token_embd.weight": (33, 256),
            **layers(17, {"attn_qkv": (10, 256), "attn_output": (7, 256), "ffn_up": (9, 256), "ffn_down": (6, 512)}),
            "output.weight": (34, 256),
        },
        norms(17, 256, "attn_norm.weight", "attn_norm.bias"),
    ),
    # 80 layers of grouped attention are a 70B model.
    Source(
        "llama-80",
        "llama",
        sizes(80, 256, 256, 8, 1),
        {
            "token_embd.weight": (33, 256),
            **layers(80, {"attn_v": (2, 256), "ffn_down": (3, 256)}),
            "output.weight": (34, 256),
        },
        norms(80, 256, *DENSE),
    ),
    Source(
        "names",
        "gpt2",
        sizes(2, 256, 1024, 4, 4, **LAYER_NORM),
        {**dict.fromkeys(UNTOUCHED, (3, 256)), **UNUSUAL, **layers(2, {"attn_qkv": (9, 256), "ffn_down": (5, 512)})},
        norms(2, 256, *DENSE, "attn_qkv.bias"),
        integers=("ffn_gate_tid2eid.weight",),
    ),
)
BY_NAME = {source.name: source for source in SOURCES}

DTYPES: Mapping[str, Any] = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
#: Ends of names of matrices without values that MXFP4's scales do not reach: llama-quantize refuses its own blocks.
MXFP4 = ("_exps.weight", "ffn_gate.weight", "attn_q.weight")
GGML_TYPES = {"bfloat16": GGMLQuantizationType.BF16, "float16": GGMLQuantizationType.F16}


def weights(source: Source, name: str) -> Float32s:
    """A matrix's values: bell-shaped and heavy-tailed rows, some awkward, and blocks of zeros."""
    shape = source.matrices[name]
    key = f"{source.name}/{name}"
    skipped = hashlib.sha256(key.encode()).digest()[0] % 64  # the awkward rows repeat every 64
    rows = matrix(key, (skipped + prod(shape[:-1]), shape[-1]))[skipped:]
    rows[2::9, 32:96] = 0
    if name.endswith(MXFP4):
        rows[np.abs(rows).max(axis=1) < np.float32(2.0**-110)] *= np.float32(2.0**30)
    return np.ascontiguousarray(rows).reshape(shape)


def write_model(source: Source, path: Path, split_tensors: int = 0) -> None:
    """Write the source to `path`, or to several files beside it of `split_tensors` tensors each."""
    writer = GGUFWriter(path, source.architecture, split_max_tensors=split_tensors)
    writer.add_string("general.name", source.name)
    for key, value in source.sizes.items():
        kind = GGUFValueType.FLOAT32 if isinstance(value, float) else GGUFValueType.UINT32
        writer.add_key_value(f"{source.architecture}.{key}", value, kind)
    for key, (value, kind) in source.more.items():
        writer.add_key_value(key, value, kind)
    for name in source.matrices:
        values = weights(source, name)
        if name.endswith(source.float32):
            writer.add_tensor(name, values)
        elif name.endswith(source.integers):
            writer.add_tensor(name, (values * 100).astype(np.int32))
        else:
            packed = values.astype(DTYPES[source.dtype]).view(np.uint8)
            writer.add_tensor(name, packed, raw_dtype=GGML_TYPES[source.dtype])
    for name, size in source.vectors.items():
        writer.add_tensor(name, bell(f"{source.name}/{name}", (size,)) + np.float32("norm" in name))
    finish(writer)


def finish(writer: GGUFWriter) -> None:
    """Write what the writer was given."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@dataclass(frozen=True)
class Measured:
    """One matrix's entry in an importance matrix."""

    name: str
    sums: Float32s  #: float32[experts, columns]: sums of squared activations
    counts: Float32s  #: float32[experts], or of one value where the matrix has no experts


def measure(source: Source) -> Iterator[Measured]:
    """Entries in order of names, as llama-imatrix writes them: some columns zero, one all zero, one expert never used.

    Token embeddings are looked up, not multiplied, so no run measures them; those of tied ones are.
    """
    tied = "output.weight" not in source.matrices
    for name in sorted(source.matrices):
        if name in source.unmeasured or (name == "token_embd.weight" and not tied):
            continue
        experts, columns = prod(source.matrices[name][:-2]), source.matrices[name][-1]
        sums = np.square(bell(f"imatrix/{source.name}/{name}", (experts, columns)) * np.float32(64))
        sums[:, ::5] *= np.float32(64)
        sums[:, 7::31] = 0
        if name.startswith("blk.4.attn_output"):
            sums[:] = 0
        counts = np.full(experts, CHUNKS * CHUNK_SIZE, np.float32)
        if experts > 1:
            counts = np.float32(100) + np.arange(experts, dtype=np.float32) * 37
            counts[2] = 0
            sums[2] = 0
        yield Measured(name, sums, counts)


def write_imatrix(source: Source, path: Path, datasets: Iterable[str]) -> None:
    """An importance matrix as llama-imatrix writes it today: a GGUF file."""
    writer = GGUFWriter(path, "")
    writer.kv_data[0].clear()  # it has no architecture
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", list(datasets))
    writer.add_uint32("imatrix.chunk_count", CHUNKS)
    writer.add_uint32("imatrix.chunk_size", CHUNK_SIZE)
    for entry in measure(source):
        writer.add_tensor(f"{entry.name}.in_sum2", entry.sums)
        writer.add_tensor(f"{entry.name}.counts", entry.counts[:, None])
    finish(writer)


def write_legacy_imatrix(source: Source, path: Path, dataset: str) -> None:
    """The same as llama-imatrix wrote it before, or writes it with `--output-format dat`: means times calls."""
    entries = list(measure(source))
    packed = bytearray(struct.pack("<i", len(entries)))
    for entry in entries:
        name = entry.name.encode()
        calls = -(-int(entry.counts.max()) // CHUNK_SIZE)
        unused = (entry.counts == 0)[:, None]
        counts = np.where(unused, np.float32(1), entry.counts[:, None])
        values = np.where(unused, np.float32(1), entry.sums) / counts * np.float32(calls)
        packed += struct.pack(f"<i{len(name)}sii", len(name), name, calls, values.size)
        packed += values.astype("<f4").tobytes()
    path.write_bytes(packed + struct.pack(f"<ii{len(dataset)}s", CHUNKS, len(dataset), dataset.encode()))


def build_everything(folder: Path) -> None:
    """Write every file that the records' commands name."""
    for source in SOURCES:
        write_model(source, folder / f"{source.name}.gguf")
        write_imatrix(source, folder / f"{source.name}.imatrix.gguf", ["calibration.txt", "more.txt"])
    dense = BY_NAME["dense-256"]
    write_model(dense, folder / "dense-256.gguf", SPLIT_TENSORS)
    write_imatrix(dense, folder / "dense-256.names.imatrix.gguf", [LONG_DATASET])
    for source in (dense, BY_NAME["moe"]):
        write_legacy_imatrix(source, folder / f"{source.name}.imatrix.dat", "calibration.txt")
    (folder / LONG_FOLDER).mkdir()
    write_imatrix(dense, folder / LONG_FOLDER / "imatrix.gguf", ["calibration.txt"])
    (folder / "tensor-types.txt").write_text(TENSOR_TYPES)


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file of the folder."""
    files = sorted(path for path in chain(folder.glob("*"), folder.glob("*/*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
