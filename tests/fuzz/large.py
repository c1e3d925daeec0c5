"""Inputs of some megabytes that hold very much of one thing: what takes time or memory beyond their size."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

from gguf import GGMLQuantizationType, GGUFValueType
from gguf_factory import array, field, file, line, text
from golden.families.sentencepiece_model import NORMAL

from fuzz import hostile, seeds
from fuzz.containers import encoded, layout
from fuzz.seeds import Input

V = GGUFValueType
F32 = GGMLQuantizationType.F32


def _gguf(
    fields: Mapping[str, bytes] = {}, shapes: Sequence[tuple[int, ...]] = (), name: str = "blk.0.x{}.weight"
) -> Input:
    """Return a GGUF file with more fields, and more tensors of F32 with these sizes, innermost first."""
    (content,) = seeds.gguf_files()[0].files.values()
    good = layout(content)
    lines, at = list(good.lines), len(good.data)
    for number, shape in enumerate(shapes):
        lines.append(line(name.format(number), shape, F32, at))
        at += -(-4 * math.prod(shape) // 32) * 32
    held = {**good.fields, **fields}
    return Input({"tiny.gguf": file(list(held.values()), lines, bytes(at))}, model="tiny.gguf")


def _with_json(name: str, edit: Callable[[Any], object], checkpoint: str = "llama-bytes") -> Input:
    given = seeds.checkpoint(checkpoint)
    content = json.loads(given.files[name])
    edit(content)
    return given.with_file(name, json.dumps(content).encode())


def _with_file(name: str, content: bytes, checkpoint: str = "llama-bytes") -> Input:
    return seeds.checkpoint(checkpoint).with_file(name, content)


def _vocabulary(tokenizer: Any) -> None:
    """Make the vocabulary large, and all of it merges."""
    tokens = [f"Ġ{number:x}" for number in range(150_000)]
    tokenizer["model"]["vocab"] |= {token: 1000 + number for number, token in enumerate(tokens)}
    tokenizer["model"]["merges"] += [[token[:-1], token[-1]] for token in tokens]


def _pieces() -> bytes:
    """Return more pieces of a tokenizer.model."""
    found = []
    for number in range(300_000):
        piece = b"%06x" % number
        message = b"\x0a" + encoded(len(piece)) + piece + b"\x15" + struct.pack("<f", -number) + b"\x18%c" % NORMAL
        found.append(b"\x0a" + encoded(len(message)) + message)
    return b"".join(found)


def _imatrix(name: str, content: bytes) -> Input:
    return replace(_with_file(name, content), imatrix=name)


def _decoded(count: int) -> dict[str, Any]:
    (token,) = (plant["320"] for plant in hostile.TOKENIZER_SETTINGS["added_tokens_decoder"] if "320" in plant)
    return {str(1000 + number): {**token, "content": f"<{number}>"} for number in range(count)}


#: What there is much of -> how to build the input.
BUILDERS: Mapping[str, Callable[[], Input]] = {
    "GGUF tensors": lambda: _gguf(shapes=((1,),) * 20_000),
    "GGUF tensors to quantize": lambda: _gguf(shapes=((32, 1),) * 20_000),
    "GGUF layers": lambda: _gguf(shapes=((32, 1),) * 20_000, name="blk.{}.x.weight"),
    "GGUF fields": lambda: _gguf({f"x{number}": field(f"x{number}", V.UINT8, b"\1") for number in range(300_000)}),
    "GGUF tokens": lambda: _gguf(
        {"tokenizer.ggml.tokens": array("tokenizer.ggml.tokens", V.STRING, 1_100_000, bytes(8_800_000))}
    ),
    "GGUF strings": lambda: _gguf({"x": array("x", V.STRING, 1_100_000, bytes(8_800_000))}),
    "GGUF numbers": lambda: _gguf({"x": array("x", V.UINT8, 9_000_000, bytes(9_000_000))}),
    "GGUF truths": lambda: _gguf({"x": array("x", V.BOOL, 9_000_000, bytes(9_000_000))}),
    "GGUF parts": lambda: _gguf({"split.count": field("split.count", V.UINT64, struct.pack("<Q", 2**40))}),
    "rows of one column": lambda: _gguf(shapes=((1, 2_200_000),)),
    "matrices of one row": lambda: _gguf(shapes=((32, 1, 35_000),), name="blk.0.ffn_up_exps.weight"),
    "safetensors": lambda: _with_file("model.safetensors", _empty_tensors(90_000)),
    "layers": lambda: _with_file("model.safetensors", _empty_tensors(90_000, "model.layers.{}.mlp.up_proj.weight")),
    "index": lambda: seeds.checkpoint("mixtral", 2).with_file(
        "model.safetensors.index.json",
        json.dumps({"weight_map": {f"x{i}": f"model-{i}-of-9.safetensors" for i in range(150_000)}}).encode(),
    ),
    "vocabulary": lambda: _with_json("tokenizer.json", _vocabulary),
    "added tokens": lambda: _with_json(
        "tokenizer.json",
        lambda tokenizer: tokenizer["added_tokens"].extend(
            {**hostile.TOKENIZER["added_tokens"][0][0], "id": 1000 + i, "content": f"<{i}>"} for i in range(50_000)
        ),
    ),
    "added tokens of tokenizer_config.json": lambda: _with_json(
        "tokenizer_config.json", lambda config: config.update(added_tokens_decoder=_decoded(50_000)), "llama-pieces"
    ),
    "added_tokens.json": lambda: _with_file(
        "added_tokens.json", json.dumps({f"<{i}>": 259 + i for i in range(400_000)}).encode(), "llama-pieces"
    ),
    "pieces": lambda: _with_file(
        "tokenizer.model", seeds.checkpoint("llama-pieces").files["tokenizer.model"] + _pieces(), "llama-pieces"
    ),
    "layer types": lambda: _with_json("config.json", lambda config: config.update(layer_types=["x"] * 1_500_000)),
    "a text in config.json": lambda: _with_json("config.json", lambda config: config.update(rope_theta="x" * 10**7)),
    "lists in lists": lambda: _with_file("config.json", b"[" * 9_000_000),
    "chat template": lambda: _with_file("chat_template.jinja", b"x" * 9_000_000),
    "front matter": lambda: _with_file("README.md", b"---\n" + b"- a: [b, c]\n" * 750_000 + b"---\n"),
    "front matter on one line": lambda: _with_file("README.md", b"---\nx: [" + b"a," * 4_500_000 + b"]\n---\n"),
    "model card": lambda: _with_file("README.md", b"# " + b"word " * 1_800_000),
    "importances of one column": lambda: _imatrix(
        "imatrix.dat",
        struct.pack("<i", 250_000)
        + b"".join(struct.pack("<i6s2if", 6, b"%06d" % i, 1, 1, 1.0) for i in range(250_000)),
    ),
    "importances": lambda: _imatrix(
        "imatrix.gguf",
        file(
            [
                array("imatrix.datasets", V.STRING, 1, text("x")),
                field("imatrix.chunk_count", V.UINT32, struct.pack("<I", 1)),
                field("imatrix.chunk_size", V.UINT32, struct.pack("<I", 512)),
            ],
            [line(f"{i // 2}.{'in_sum2' if i % 2 else 'counts'}", (1,), F32, 32 * i) for i in range(100_000)],
            bytes(32 * 100_000),
        ),
    ),
}


def _empty_tensors(count: int, name: str = "x{}") -> bytes:
    entry = {"dtype": "BF16", "shape": [0, 64], "data_offsets": [0, 0]}
    header = json.dumps({name.format(number): entry for number in range(count)}).encode()
    return len(header).to_bytes(8, "little") + header


class _Inputs(Sequence[Input]):
    """The inputs, each built when it is asked for."""

    def __len__(self) -> int:
        return len(BUILDERS)

    @overload
    def __getitem__(self, number: int) -> Input: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Input]: ...
    def __getitem__(self, number: int | slice) -> Input | Sequence[Input]:
        chosen = list(BUILDERS.values())[number]
        return [build() for build in chosen] if isinstance(chosen, list) else chosen()


def inputs() -> Sequence[Input]:
    """Return all of them."""
    return _Inputs()
