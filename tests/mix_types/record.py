"""Ask llama.cpp which type its mixes give each tensor of models of many shapes, and record the answers.

Runs where `llama-cpp-python` is installed, not in the tests' environment: see PROVENANCE.md.
"""

from __future__ import annotations

import ctypes
import json
import re
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

#: llama_ftype of llama.h.
FORMATS = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12,
    "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20,
    "Q2_K_S": 21, "IQ3_XS": 22, "IQ3_XXS": 23, "IQ1_S": 24, "IQ4_NL": 25, "IQ3_S": 26, "IQ3_M": 27, "IQ2_S": 28,
    "IQ2_M": 29, "IQ4_XS": 30, "IQ1_M": 31, "BF16": 32, "TQ1_0": 36, "TQ2_0": 37, "MXFP4_MOE": 38, "Q1_0": 40,
    "Q2_0": 41,
}  # fmt: skip
#: ggml_type of ggml.h.
TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12,
    "Q5_K": 13, "Q6_K": 14, "IQ2_XXS": 16, "IQ2_XS": 17, "IQ3_XXS": 18, "IQ1_S": 19, "IQ4_NL": 20, "IQ3_S": 21,
    "IQ2_S": 22, "IQ4_XS": 23, "IQ1_M": 29, "BF16": 30, "TQ1_0": 34, "TQ2_0": 35, "MXFP4": 39, "NVFP4": 40, "Q1_0": 41,
    "Q2_0": 42,
}  # fmt: skip

#: Everything there is to say of a model: the keys of BASE, and those that a case adds to them.
Model = dict[str, Any]
Shape = tuple[int, ...]

BASE: Model = {
    "architecture": "llama",
    "layout": "dense",
    "layers": 17,
    "heads": 8,
    "kv_heads": 8,
    "hidden": 512,
    "ffn": 768,
    "tied": False,
    "experts": 0,
    "importance": False,
}

#: Layout -> the matrices of a layer, each with its dimensions: h(idden), f(fn), k(ey-values), e(xperts).
LAYOUTS = {
    "dense": "attn_k:kh attn_output:hh attn_q:hh attn_v:kh ffn_down:hf ffn_gate:fh ffn_up:fh",
    "fused": "attn_output:hh attn_qkv:hh ffn_down:hf ffn_up:fh",
    "experts": "attn_k:kh attn_output:hh attn_q:hh attn_v:kh ffn_down_exps:ehf ffn_gate_exps:efh ffn_gate_inp:eh "
    "ffn_up_exps:efh",
    "shared_experts": "attn_k:kh attn_output:hh attn_q:hh attn_v:kh ffn_down_exps:ehf ffn_down_shexp:hf "
    "ffn_gate_exps:efh ffn_gate_inp:eh ffn_gate_shexp:fh ffn_up_exps:efh ffn_up_shexp:fh",
    "split_experts": "attn_k:kh attn_output:hh attn_q:hh attn_v:kh ffn_down.0:hf ffn_down.1:hf ffn_gate.0:fh "
    "ffn_gate.1:fh ffn_up.0:fh ffn_up.1:fh",
    "latent": "attn_k_b:ehh attn_kv_a_mqa:hh attn_kv_b:hh attn_output:hh attn_q_a:hh attn_q_b:hh attn_v_b:ehh "
    "ffn_down_exps:ehf ffn_gate_exps:efh ffn_gate_inp:eh ffn_up_exps:efh nextn.eh_proj:hh",
    # Three kinds of "attention v" in a layer, which share one count.
    "mixed": "attn_kv_b:hh attn_output:hh attn_q:hh attn_qkv:hh attn_v:kh ffn_down:hf ffn_gate:fh ffn_up:fh",
}

#: What stays as it is, or looks as if it did: beside the matrices of a layout.
CURIOSITIES = (
    "abcde", "abcdef", "weight", "some.weight", "some.weights", "some.bias", "x_norm.weight", "x_norm.weights.weight",
    "position_embd.weight", "token_types.weight", "token_types.1.weight", "v.position_embd.weight",
    "per_layer_model_proj.weight", "per_layer_token_embd.weight", "output.weight.weight", "sam.pos_embd.weight",
    "sam.neck.0.weight", "sam.net_2.weight", "v.blk.0.attn_rel_pos_h.weight", "x.rel_pos.weight",
    "v.patch_embd.weight", "v.patch_merger.weight", "a.rvq.codebook.weight", "mm.a.code_embd.weight",
    *(f"blk.0.{part}.weight" for part in (
        "ffn_gate_inp", "ffn_gate_inp_shexp", "ffn_gate_tid2eid", "altup_proj", "laurel_l", "ssm_conv1d", "ssm_in",
        "shortconv.conv", "shortconv.in_proj", "indexer.k_proj", "indexer.q_proj", "hc_attn_fn", "indexer.attn_q_b",
        "indexer.attn_k", "indexer.proj", "indexer_compressor_gate", "indexer_compressor_ape", "ssm_f_a", "ssm_f_b",
        "ssm_g_a", "ssm_g_b", "ssm_beta", "attn_kv_a_mqa", "attn_k_b", "attn_v_b", "time_mix_first", "time_mix_w0",
        "time_mix_w1", "time_mix_w2", "time_mix_v0", "time_mix_v1", "time_mix_v2", "time_mix_a0", "time_mix_a1",
        "time_mix_a2", "time_mix_g1", "time_mix_g2", "time_mix_decay_w1", "time_mix_decay_w2", "time_mix_lerp_fused",
        "time_mix_key", "attn_rel_b",
    )),
)  # fmt: skip

#: Architecture -> keys that its hyperparameters need beside those of every model; their values decide no type.
_LATENT: dict[str, int | float] = {
    "attention.q_lora_rank": 64, "attention.kv_lora_rank": 64, "attention.key_length_mla": 64,
    "attention.value_length_mla": 64, "expert_feed_forward_length": 64, "expert_shared_count": 1,
    "leading_dense_block_count": 1, "expert_gating_func": 2,
}  # fmt: skip
_KDA = {**_LATENT, "ssm.conv_kernel": 4, "kda.head_dim": 64, "kda.gate_lower_bound": -5.0}
EXTRA_KEYS: Mapping[str, Mapping[str, int | float]] = {
    "deepseek2": _LATENT,
    "bailingmoe3": _KDA,
    "glm5-next": {
        **_KDA, "attention.indexer.head_count": 4, "attention.indexer.key_length": 64, "attention.indexer.top_k": 8,
        "attention.indexer.kpool": 4, "hyper_connection.count": 4, "hyper_connection.sinkhorn_iterations": 2,
        "hyper_connection.epsilon": 1e-6,
    },
}  # fmt: skip


def models() -> Iterator[Model]:
    """Many numbers of layers once; then what else the rules ask for, at the numbers where they turn."""
    for layers in (*range(1, 26), 31, 32, 33, 47, 48, 64, 79, 80):
        yield {"layers": layers}
    for layers in (1, 7, 8, 9, 16, 33):
        yield {"layers": layers, "importance": True}
    for importance in (False, True):
        for layers in (8, 17, 32):
            for kv_heads in (1, 2, 4):
                yield {"layers": layers, "kv_heads": kv_heads, "importance": importance}
        yield {"kv_heads": 3, "heads": 9, "hidden": 576, "ffn": 1536, "tied": True, "importance": importance}
        yield from _odd_rows(importance)
        yield from _experts(importance)
        for layers, kv_heads, tied in ((9, 8, False), (17, 1, True), (32, 1, False), (33, 8, False)):
            falcon = {"architecture": "falcon", "layout": "fused", "layers": layers, "kv_heads": kv_heads}
            yield {**falcon, "tied": tied, "importance": importance}
        yield {"layout": "mixed", "layers": 9, "importance": importance}
    for kv_heads in (1, 8):
        for architecture, layers in {
            "llama": 80, "llama-embed": 80, "qwen2": 80, "deci": 80, "olmo": 80, "jais2": 68, "qwen3": 80,
        }.items():  # fmt: skip
            yield {"architecture": architecture, "layers": layers, "kv_heads": kv_heads}
    yield from _overridden()
    for architecture in ("llama", "glm5-next"):
        for tied in (False, True):
            yield {
                "architecture": architecture, "layers": 1, "tied": tied, "experts": 4, "curiosities": True,
                "mixes": ["Q4_0", "Q8_0", "F16", "MXFP4_MOE"],
            }  # fmt: skip


def _odd_rows(importance: bool) -> Iterator[Model]:
    shapes = ((512, 544), (512, 400), (320, 512), (288, 400), (400, 512), (40, 72), (384, 192))
    for hidden, ffn in shapes:
        for tied in (False,) if importance else (False, True):
            yield {"layers": 9, "hidden": hidden, "ffn": ffn, "tied": tied, "importance": importance}


def _experts(importance: bool) -> Iterator[Model]:
    for experts in (2, 3, 4, 8, 16, 64):
        for layout in ("experts", "shared_experts") if experts in {4, 8} else ("experts",):
            yield {"experts": experts, "layout": layout, "importance": importance}
    yield {"experts": 8, "layout": "split_experts", "layers": 9, "importance": importance}
    yield {"experts": 8, "layout": "experts", "layers": 32, "kv_heads": 2, "importance": importance}
    yield {"experts": 8, "layout": "fused", "layers": 9, "architecture": "falcon", "importance": importance}
    yield {"experts": 8, "layout": "experts", "layers": 9, "tied": True, "importance": importance}
    for architecture in ("deepseek2", "bailingmoe3", "glm5-next"):
        yield {"architecture": architecture, "experts": 16, "layout": "latent", "importance": importance}


def _overridden() -> Iterator[Model]:
    """Types that are asked for, in models whose counts they disturb, whose rows they do not fit, or neither."""
    some = ["Q4_K_M", "Q3_K_M", "IQ2_XS", "IQ3_XXS", "Q4_0", "F16", "MXFP4_MOE", "Q1_0"]
    cases: tuple[Model, ...] = (
        {"pure": True},
        {"output": "Q8_0"},
        {"embedding": "Q8_0"},
        {"output": "Q4_0", "embedding": "Q3_K"},
        {"leave_output": True},
        {"leave_output": True, "output": "Q8_0"},
        {"types": [["attn_v", "Q8_0"]]},
        {"types": [["blk\\.[0-5]\\.(attn_v|ffn_down)", "Q8_0"]]},
        {"types": [["ffn_(up|gate)\\.weight$", "IQ4_XS"], ["ffn_", "Q6_K"], ["^token_embd", "Q5_1"]]},
        {"types": [["output", "F16"]]},
        {"types": [["attn_q", "Q4_K"], ["output", "BF16"]], "pure": True},
        {"types": [["norm", "Q8_0"]], "output": "F32"},
    )
    for case in cases:
        for tied in (False, True):
            yield {"layers": 9, "tied": tied, "mixes": some, "overrides": case}
    for name in TYPES:
        for hidden in (400, 288):
            forced = {"types": [["ffn_up|output", name]]}
            yield {"layers": 1, "hidden": hidden, "tied": True, "mixes": ["Q4_K_M"], "overrides": forced}
    yield {"layers": 1, "hidden": 400, "tied": True, "mixes": some, "overrides": {"output": "Q4_K"}}
    for case in ({"embedding": "Q8_0"}, {"embedding": "Q8_0", "types": [["per_layer_token", "Q5_K"]]}):
        yield {"layers": 1, "mixes": ["Q4_K_M", "F16"], "overrides": case, "curiosities": True}


def tensor_shapes(model: Model) -> dict[str, Shape]:
    """GGUF name -> row-major shape of every matrix, in the order of a quantized file."""
    hidden, ffn, experts = model["hidden"], model["ffn"], model["experts"]
    sizes = {"h": hidden, "f": ffn, "k": hidden // model["heads"] * model["kv_heads"], "e": experts}
    shapes: dict[str, Shape] = {"token_embd.weight": (1000, hidden)}
    if not model["tied"]:
        shapes["output.weight"] = (1000, hidden)
    for layer in range(model["layers"]):
        for matrix in LAYOUTS[model["layout"]].split():
            kind, dimensions = matrix.split(":")
            shapes[f"blk.{layer}.{kind}.weight"] = tuple(sizes[dimension] for dimension in dimensions)
    if model.get("curiosities"):
        shapes |= dict.fromkeys(CURIOSITIES, (4, 256)) | {"flat.weight": (256,), "flat.1.weight": (1, 256)}

    def place(name: str) -> tuple[int, str]:
        layer = re.match(r"blk\.(\d+)\.", name)
        return int(layer[1]) if layer else -1, name

    return {name: shapes[name] for name in sorted(shapes, key=place)}


def kind_of(name: str) -> str:
    """A tensor's name without the layer it is of."""
    return re.sub(r"^blk\.\d+\.|\.weight$", "", name)


def compact(types: Mapping[str, str]) -> str:
    """Types by tensor name -> one line: the commonest, then what differs, kind by kind and layer after layer.

    "Q4_K output=Q6_K attn_v=Q6_K,Q4_K:0110" reads: of the attn_v, the second and third are Q4_K, the others
    Q6_K; a digit is an index into the types before it, and the last one holds for all layers that follow.
    """
    kinds: dict[str, list[str]] = {}
    for name, type_name in types.items():
        kinds.setdefault(kind_of(name), []).append(type_name)
    ((common, _),) = Counter(types.values()).most_common(1)
    words = [common]
    for kind, found in kinds.items():
        distinct = list(dict.fromkeys(found))
        if len(distinct) > 1:
            digits = "".join(str(distinct.index(name)) for name in found)
            words.append(f"{kind}={','.join(distinct)}:{digits.rstrip(digits[-1])}{digits[-1]}")
        elif distinct != [common]:
            words.append(f"{kind}={distinct[0]}")
    return " ".join(words)


def write_model(path: Path, model: Model) -> None:
    """A GGUF file of float32 tensors that says what `model` says, and whose weights are a hole in the file."""
    architecture = model["architecture"]
    keys: dict[str, int | float] = {
        "context_length": 512,
        "embedding_length": model["hidden"],
        "block_count": model["layers"],
        "feed_forward_length": model["ffn"],
        "attention.head_count": model["heads"],
        "attention.head_count_kv": model["kv_heads"],
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.layer_norm_epsilon": 1e-5,
        **({"expert_count": model["experts"], "expert_used_count": 1} if model["experts"] else {}),
        **EXTRA_KEYS.get(architecture, {}),
    }
    shapes = tensor_shapes(model)
    out = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(shapes), len(keys) + 1))

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    out += text("general.architecture") + struct.pack("<I", 8) + text(architecture)
    for key, value in keys.items():
        out += text(f"{architecture}.{key}")
        out += struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)
    offset = 0
    for name, shape in shapes.items():
        dimensions = shape[::-1]
        out += text(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, 0, offset)
        size = 4
        for dimension in dimensions:
            size *= dimension
        offset += -(-size // 32) * 32
    with path.open("wb") as file:
        file.write(out)
        file.truncate(-(-len(out) // 32) * 32 + offset)


class Reference:
    """llama-quantize's dry run: it reads the headers, decides every type and says so."""

    LINE = re.compile(r"\] (\S+) +- \[[^\]]*\], type = +(\w+), size = +[\d.]+ MiB(?: -> +[\d.]+ MiB \((\w+)\))?\n")
    NEEDS_IMPORTANCE = "will require an imatrix"

    def __init__(self, folder: Path) -> None:
        import llama_cpp

        self.llama = llama_cpp
        self.path = folder / "model.gguf"
        self.log: list[str] = []
        self.callback = llama_cpp.llama_log_callback(lambda _level, text, _data: self.log.append(text.decode()))
        llama_cpp.llama_log_set(self.callback, ctypes.c_void_p(0))

    def record(self, case: Model) -> dict[str, Any]:
        """The case, the answer of each of its mixes (None: refused), and the mixes that ask for an imatrix."""
        model = {**BASE, **case}
        write_model(self.path, model)
        answers = {mix: self._types(model, mix) for mix in model.get("mixes", FORMATS)}
        types = [found and compact(found) for found, _ in answers.values()]
        return {"model": case, "types": types, "need_importance": [mix for mix, (_, need) in answers.items() if need]}

    def _types(self, model: Model, mix: str) -> tuple[dict[str, str] | None, bool]:
        llama, overrides = self.llama, model.get("overrides", {})
        parameters = llama.llama_model_quantize_default_params()
        parameters.dry_run, parameters.nthread, parameters.ftype = True, 1, FORMATS[mix]
        parameters.pure = overrides.get("pure", False)
        parameters.quantize_output_tensor = not overrides.get("leave_output", False)
        if "output" in overrides:
            parameters.output_tensor_type = TYPES[overrides["output"]]
        if "embedding" in overrides:
            parameters.token_embedding_type = TYPES[overrides["embedding"]]
        patterns = [(pattern.encode(), TYPES[name]) for pattern, name in overrides.get("types", [])]
        if patterns:
            array = (llama.llama_model_tensor_override * (len(patterns) + 1))(*patterns, (None, 0))
            parameters.tt_overrides = array
        if model["importance"]:  # an empty one decides the same types as a full one
            parameters.imatrix = (llama.llama_model_imatrix_data * 1)()
        self.log.clear()
        failed = llama.llama_model_quantize(str(self.path).encode(), b"", ctypes.byref(parameters))
        log = "".join(self.log)
        if failed:
            assert "no tensor type fallback is defined" in log, log
            return None, False
        found = {name: (new or old).upper() for name, old, new in self.LINE.findall(log)}
        assert found.keys() == tensor_shapes(model).keys(), log
        assert set(found.values()) <= TYPES.keys()
        return found, self.NEEDS_IMPORTANCE in log


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, Path(sys.argv[1]).open("w") as output:
        reference = Reference(Path(scratch))
        for each in models():
            output.write(json.dumps(reference.record(each), separators=(",", ":")) + "\n")
