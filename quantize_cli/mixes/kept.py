"""Tensors that no mix and no option may change (src/llama-quant.cpp, `tensor_allows_quantization`)."""

from __future__ import annotations

_RECURRENT = "small matrices of a recurrent block stay as they are"
_VISION = "tensors of an image encoder stay as they are"
_SMALL = "matrices this small stay as they are"

#: Whole names.
_NAMES = {
    "position_embd.weight": "position embeddings stay as they are",
    "token_types.weight": "token type embeddings stay as they are",
}
#: Searched anywhere in the name.
_PARTS = {
    "_norm.weight": "norms stay as they are",
    "ffn_gate_inp.weight": "the router of the experts stays as it is",
    "ffn_gate_tid2eid.weight": "the table from tokens to experts stays as it is",
    "altup": _SMALL,
    "laurel": _SMALL,
    "per_layer_model_proj": _SMALL,
    "ssm_conv1d": _RECURRENT,
    "shortconv.conv.weight": _RECURRENT,
    "indexer.k_proj.weight": _SMALL,
    "indexer.q_proj.weight": _SMALL,
    "time_mix_first.weight": _RECURRENT,
    **{f"time_mix_{part}{i}.weight": _RECURRENT for part in "wva" for i in range(3)},
    "time_mix_g1.weight": _RECURRENT,
    "time_mix_g2.weight": _RECURRENT,
    "time_mix_decay_w1.weight": _RECURRENT,
    "time_mix_decay_w2.weight": _RECURRENT,
    "time_mix_lerp_fused.weight": _RECURRENT,
    "attn_rel_b.weight": "relative position biases stay as they are",
    ".position_embd": _VISION,
    "sam.pos_embd": _VISION,
    "sam.neck.": _VISION,
    "sam.net_": _VISION,
    ".rel_pos": _VISION,
    ".patch_embd": _VISION,
    ".patch_merger": _VISION,
    "a.rvq.codebook": "audio codebooks stay as they are",
    "mm.a.code_embd": "audio codebooks stay as they are",
}
#: Architecture -> further parts of names.
_PARTS_OF_ARCHITECTURES = {
    "glm5-next": (
        "hc_",
        "indexer.attn_q_b",
        "indexer.attn_k",
        "indexer.proj",
        "indexer_compressor_gate",
        "indexer_compressor_ape",
        "ssm_f_a.weight",
        "ssm_f_b.weight",
        "ssm_g_a.weight",
        "ssm_g_b.weight",
        "ssm_beta.weight",
        "attn_kv_a_mqa.weight",
        "attn_k_b.weight",
        "attn_v_b.weight",
    )
}


def why_kept(name: str, shape: tuple[int, ...], architecture: str, *, leave_output: bool = False) -> str | None:
    """Tell why a tensor keeps the type that it is stored in, or return None if a type may be chosen for it.

    `shape` is row-major; as in GGML, leading dimensions of 1 do not count. `leave_output` is the user's wish to keep
    the output matrix.
    """
    if all(size == 1 for size in shape[:-1]):
        return "one-dimensional tensors stay as they are"
    if not _ends_with_weight(name):
        return "only weights are quantized"
    if leave_output and name == "output.weight":
        return "asked for: the output matrix stays as it is"
    if name in _NAMES:
        return _NAMES[name]
    for part in _PARTS_OF_ARCHITECTURES.get(architecture, ()):
        if part in name:
            return f"{architecture} keeps this matrix as it is"
    return next((reason for part, reason in _PARTS.items() if part in name), None)


def _ends_with_weight(name: str) -> bool:
    # The reference compares where "weight" was found last with the length less 6. In a name of 5 bytes both are -1,
    # and the name passes.
    return name.endswith("weight") or len(name.encode()) == 5
