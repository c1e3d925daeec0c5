"""Ask llama.cpp which type its mixes give each tensor of models of many shapes, and record the answers.

Runs where `llama-cpp-python` is installed, not in the tests' environment: see PROVENANCE.md.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

MIXES = {"Q8_0": 7, "Q2_K": 10, "Q3_K_M": 12, "Q4_K_M": 15, "IQ4_XS": 30}  # llama_ftype
TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0"}
TYPES |= {10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 20: "IQ4_NL", 23: "IQ4_XS"}  # ggml_type

Model = dict[str, Any]


class ModelDescriptor(ctypes.Structure):
    """`llama_quant_model_desc` of llama-ext.h."""

    _fields_ = (
        ("architecture", ctypes.c_char_p),
        *(
            (name, ctypes.c_uint32)
            for name in (
                "n_embd",
                "n_ff",
                "n_layer",
                "n_head",
                "n_head_kv",
                "n_expert",
                "n_embd_head_k",
                "n_embd_head_v",
            )
        ),
    )


class InitParameters(ctypes.Structure):
    """`ggml_init_params`."""

    _fields_ = (("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool))


def models() -> Iterator[Model]:
    """Every number of layers once; then what else the rules ask for, at the numbers where they turn."""
    base = {"architecture": "llama", "heads": 8, "kv_heads": 8, "hidden": 512, "ffn": 768, "tied": False}
    for layers in range(1, 81):
        yield {**base, "layers": layers}
    for layers in (1, 8, 16, 32, 79, 80):
        for kv_heads in (1, 2, 4):
            yield {**base, "layers": layers, "kv_heads": kv_heads}
        yield {**base, "layers": layers, "kv_heads": 3, "heads": 9, "hidden": 576, "ffn": 1536, "tied": True}
    for tied in (False, True):
        for hidden, ffn in ((512, 544), (512, 400), (320, 512), (288, 400), (400, 512), (400, 400), (40, 72)):
            yield {**base, "layers": 17, "hidden": hidden, "ffn": ffn, "tied": tied}


def tensor_shapes(model: Model) -> Iterator[tuple[str, tuple[int, int]]]:
    """Kind, with {} for the layer's number, and row-major shape of every matrix, in the order of a quantized file."""
    hidden, ffn = model["hidden"], model["ffn"]
    kv = hidden // model["heads"] * model["kv_heads"]
    if not model["tied"]:
        yield "output.weight", (1000, hidden)
    yield "token_embd.weight", (1000, hidden)
    for layer in range(model["layers"]):
        for kind, shape in {
            "attn_k": (kv, hidden),
            "attn_output": (hidden, hidden),
            "attn_q": (hidden, hidden),
            "attn_v": (kv, hidden),
            "ffn_down": (hidden, ffn),
            "ffn_gate": (ffn, hidden),
            "ffn_up": (ffn, hidden),
        }.items():
            yield f"blk.{layer}.{kind}.weight", shape


def by_kind(types: dict[str, str]) -> dict[str, str]:
    """Types by tensor name -> types by kind, the only one or runs, layer after layer: "Q6_K*2 Q4_K*14"."""
    kinds: dict[str, list[str]] = {}
    for name, type_name in types.items():
        kinds.setdefault(name.removesuffix(".weight").rsplit(".", 1)[-1], []).append(type_name)
    return {kind: _runs(found) for kind, found in kinds.items()}


def _runs(types: list[str]) -> str:
    if len(set(types)) == 1:
        return types[0]
    return " ".join(f"{name}*{len([*run])}" for name, run in groupby(types))


class Reference:
    """The library's own functions, under their C++ names."""

    def __init__(self) -> None:
        import llama_cpp

        folder = Path(llama_cpp.__file__).parent / "lib"
        self.ggml = ctypes.CDLL(str(folder / "libggml-base.so"))
        self.llama = ctypes.CDLL(str(folder / "libllama.so"))
        self.parameters = llama_cpp.llama_model_quantize_default_params()
        self.from_metadata = self.llama["_Z31llama_quant_model_from_metadataPK22llama_quant_model_desc"]
        self.init = self.llama["_Z16llama_quant_initPK11llama_modelPK27llama_model_quantize_params"]
        self.free = self.llama["_Z16llama_quant_freeP19quantize_state_impl"]
        self.compute = self.llama[
            "_Z25llama_quant_compute_typesP19quantize_state_impl11llama_ftypePP11ggml_tensorP9ggml_typem"
        ]
        self.ggml.ggml_init.argtypes = [InitParameters]
        self.ggml.ggml_new_tensor_2d.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        self.ggml.ggml_set_name.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self.ggml.ggml_free.argtypes = [ctypes.c_void_p]
        self.compute.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        for function in (self.ggml.ggml_init, self.ggml.ggml_new_tensor_2d, self.from_metadata, self.init):
            function.restype = ctypes.c_void_p

    def types(self, model: Model) -> dict[str, dict[str, str]]:
        """Mix -> kind -> runs of types."""
        heads, kv_heads, hidden = model["heads"], model["kv_heads"], model["hidden"]
        head = hidden // heads
        descriptor = ModelDescriptor(
            model["architecture"].encode(), hidden, model["ffn"], model["layers"], heads, kv_heads, 0, head, head
        )
        mock = ctypes.c_void_p(self.from_metadata(ctypes.byref(descriptor)))
        state = ctypes.c_void_p(self.init(mock, ctypes.byref(self.parameters)))
        shapes = dict(tensor_shapes(model))
        context = self.ggml.ggml_init(InitParameters(len(shapes) * 1024 + 4096, None, True))
        tensors = (ctypes.c_void_p * len(shapes))()
        for i, (name, (rows, columns)) in enumerate(shapes.items()):
            tensors[i] = self.ggml.ggml_new_tensor_2d(context, 1, columns, rows)
            self.ggml.ggml_set_name(tensors[i], name.encode())
        found = {}
        for mix, ftype in MIXES.items():
            result = (ctypes.c_int * len(shapes))()
            self.compute(state, ftype, tensors, result, len(shapes))
            found[mix] = by_kind({name: TYPES[value] for name, value in zip(shapes, result, strict=True)})
        self.free(state)
        self.llama.llama_model_free(mock)
        self.ggml.ggml_free(context)
        return found


if __name__ == "__main__":
    reference = Reference()
    with Path(sys.argv[1]).open("w") as file:
        for case in models():
            file.write(json.dumps({"model": case, "types": reference.types(case)}) + "\n")
