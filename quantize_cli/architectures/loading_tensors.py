"""The tensors that llama.cpp's loader asks for, and their shapes; a file without them, or with others, never loads.

The reference is `load_arch_tensors` of each architecture (src/models/*.cpp). Architectures without a layout here are
held to what all have in common: as many tokens as the embedding has rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from quantize_cli.architectures.hyperparameters import Hyperparameters
from quantize_cli.architectures.loading import PROJECTOR
from quantize_cli.architectures.loading_sizes import KEYS, Sizes, sizes_of
from quantize_cli.architectures.loading_tokens import MODEL, WITHOUT_TOKENS, count_tokens
from quantize_cli.architectures.origin import Origin
from quantize_cli.architectures.parts import (
    ATTENTION,
    EXPERT_FFN,
    FFN,
    FFN_BIAS,
    FFN_NORM,
    OUTPUT_BIAS,
    QK_NORM,
    QKV_BIAS,
    SHARED_EXPERT_FFN,
)
from quantize_cli.architectures.shapes import SHAPES, Shape
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.fields import Field

_EMBEDDING = "token_embd.weight"
#: Draft models, whose embedding belongs to another vocabulary.
_OTHER_VOCABULARY = frozenset({"eagle3", "dflash"})

#: A tensor -> those that it stands for.
_FUSED: Mapping[str, tuple[str, ...]] = {
    "attn_qkv.weight": ("attn_q.weight", "attn_k.weight", "attn_v.weight"),
    "ffn_gate_up_exps.weight": ("ffn_gate_exps.weight", "ffn_up_exps.weight"),
}
#: Tensors that the loader does not ask for in layers that predict further tokens, because it does not use them.
_NOT_ASKED_FOR = frozenset(name for names in _FUSED.values() for name in names)
#: A tensor that tells whether a file has the layers that do more than to predict further tokens.
_FIRST = "blk.0.attn_norm.weight"
#: Ends of names of numbers that belong to a tensor of packed weights, which the loader takes in every architecture.
_SCALES = (".scale", ".input_scale")

_NEXT = ("nextn.eh_proj.weight", "nextn.enorm.weight", "nextn.hnorm.weight")
_NEXT_OPTIONAL = ("nextn.embed_tokens.weight", "nextn.shared_head_head.weight", "nextn.shared_head_norm.weight")
_LINEAR = (
    *("ssm_conv1d.weight", "ssm_dt.bias", "ssm_a", "ssm_beta.weight", "ssm_alpha.weight", "ssm_norm.weight"),
    "ssm_out.weight",
)

#: GGUF name -> shape, over those of shapes.py.
_SHAPES: Mapping[str, Shape] = {
    **SHAPES,
    "rope_freqs.weight": ("half_rotated",),
    "attn_kv_b.weight": ("unsplit", "kv_lora"),
}


@dataclass(frozen=True, slots=True)
class _Layer:
    """The tensors of one layer; names are without "blk.N."."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    fused: tuple[str, ...] = ()  #: tensors that may stand for some of the required ones


@dataclass(frozen=True, slots=True)
class _Layout:
    """The tensors of one architecture."""

    layer: Callable[[Hyperparameters, int], _Layer]
    optional: tuple[str, ...] = ("output.weight",)  #: tensors outside the layers that need not be there
    predicts: bool = False  #: whether it may have layers behind the others that predict further tokens


def check_tensors(metadata: Iterable[Field], tensors: Mapping[str, tuple[int, ...]], origin: Origin) -> None:
    """Check that llama.cpp would find the tokens and tensors that it asks for.

    A file without a tokenizer, and a projector, are not looked at.

    Args:
        metadata: All fields of the model, which `check_loads` has accepted.
        tensors: The shapes of its tensors, row-major, by GGUF name.
        origin: The place that the metadata comes from.

    Raises:
        CheckpointError: Tokens and rows differ in number, or a tensor is missing, not expected, or has another shape.
    """
    fields = {field.key: field for field in metadata}
    architecture = str(fields["general.architecture"].value)
    if architecture == PROJECTOR or MODEL not in fields:
        return
    model = Hyperparameters(fields, architecture)
    tokens = count_tokens(model, origin)
    if _EMBEDDING in tensors and architecture not in _OTHER_VOCABULARY:
        _check_rows(tokens, (1, *tensors[_EMBEDDING])[-2], model, origin)
    if architecture in LAYOUTS:
        _Tensors(model, sizes_of(model, tokens), tensors, origin).check()


def _check_rows(tokens: int, rows: int, model: Hyperparameters, origin: Origin) -> None:
    if tokens == rows:
        return
    key = f"{model.architecture}.vocab_size"
    kind = model.fields[MODEL].value
    if kind not in WITHOUT_TOKENS:
        found, advice = f"{tokens} tokens", "take the model from another source"
    else:
        found = f"no vocabulary ({MODEL} is {shown(kind)}) and {key} for {tokens} tokens"
        advice = f"set the number with --override-kv {key}=int:{rows}, or take the model from another source"
    raise CheckpointError(
        f"{origin.where} leads to a file that llama.cpp does not load: it has {found}, but {_EMBEDDING} has {rows} "
        f"rows; {advice}."
    )


@dataclass(frozen=True, slots=True)
class _Tensors:
    """The tensors of one model."""

    model: Hyperparameters
    sizes: Sizes
    held: Mapping[str, tuple[int, ...]]
    origin: Origin

    def check(self) -> None:
        layout, trunk = LAYOUTS[self.model.architecture], _trunk(self.model)
        known = {_EMBEDDING, "output_norm.weight", *layout.optional}
        self._check_required((_EMBEDDING, "output_norm.weight"))
        for number in range(self.model.natural("block_count") or 0 if layout.predicts else trunk):
            layer = layout.layer(self.model, number)
            prefix = f"blk.{number}."
            known.update(prefix + name for name in (*layer.required, *layer.optional, *layer.fused))
            if self._is_needed(number, layout):
                replaced = {part for name in layer.fused if prefix + name in self.held for part in _FUSED[name]}
                left_out = replaced if number < trunk else _NOT_ASKED_FOR
                self._check_required(prefix + name for name in layer.required if name not in left_out)
        self._check_known(known)
        for name, shape in self.held.items():
            self._check_shape(name, shape)

    def _is_needed(self, number: int, layout: _Layout) -> bool:
        """Tell whether the file must have a layer: one that predicts further tokens may be a file of its own."""
        trunk = _trunk(self.model)
        if number >= trunk:
            return f"blk.{trunk}.{_NEXT[0]}" in self.held
        return not (layout.predicts and self.model.natural("nextn_predict_layers")) or _FIRST in self.held

    def _check_required(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.held:
                raise CheckpointError(
                    f"{self.origin.where} does not have {name}, and llama.cpp does not load {self._named()} without "
                    "it; take the model from another source."
                )

    def _check_known(self, known: set[str]) -> None:
        for name in self.held:
            if name not in known and not name.endswith(_SCALES):
                raise CheckpointError(
                    f"{self.origin.where} has the tensor {shown(name)}, and llama.cpp does not load {self._named()} "
                    "with it; take the model from another source."
                )

    def _named(self) -> str:
        layers = self.model.natural("block_count")
        return f"a {self.model.architecture} model of {layers} layers ({self.model.architecture}.block_count)"

    def _check_shape(self, name: str, shape: tuple[int, ...]) -> None:
        plain = name.split(".", 2)[2] if name.startswith("blk.") else name
        symbols = _SHAPES.get(plain)
        if plain == "attn_qkv.weight" and plain in self._layer(name).fused:
            symbols = ("fused_qkv", "hidden")
        if symbols is None:
            return
        wanted = tuple(self.sizes[symbol] for symbol in symbols)
        if _squeezed(wanted) != _squeezed(shape):
            keys = dict.fromkeys(key for symbol in symbols for key in KEYS.get(symbol, ()))
            made_of = [f"{self.model.architecture}.{key}" for key in keys if self.model.held(key) is not None]
            raise CheckpointError(
                f"{self.origin.where} has {name} with the shape {list(shape)}, but llama.cpp wants {list(wanted)} by "
                f"its metadata ({', '.join(made_of)}) and does not load it; correct them with --override-kv, or take "
                "the model from another source."
            )

    def _layer(self, name: str) -> _Layer:
        return LAYOUTS[self.model.architecture].layer(self.model, int(name.split(".")[1]))


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Leave out outer sizes of 1, which the loader does not tell from missing ones."""
    while shape[:1] == (1,):
        shape = shape[1:]
    return shape


def _dense(*more: str) -> Callable[[Hyperparameters, int], _Layer]:
    """Return the layers of a model without experts, with `more` tensors in each."""
    layer = _Layer(
        (*ATTENTION.names, *FFN_NORM.names, *FFN.names, *more), (*QKV_BIAS.names, "attn_qkv.bias"), ("attn_qkv.weight",)
    )
    return lambda _model, _number: layer


def _llama(model: Hyperparameters, _number: int) -> _Layer:
    optional = (*QKV_BIAS.names, "attn_qkv.bias", *OUTPUT_BIAS.names)
    attention = (*ATTENTION.names, *FFN_NORM.names)
    if not model.natural("expert_count"):
        return _Layer((*attention, *FFN.names), (*optional, *FFN_BIAS.names), ("attn_qkv.weight",))
    gate = "ffn_gate_exps.weight"
    experts = tuple(name for name in EXPERT_FFN.names if name != gate)
    return _Layer((*attention, *experts), (*optional, gate), ("attn_qkv.weight",))


def _qwen3moe(_model: Hyperparameters, _number: int) -> _Layer:
    return _Layer(
        (*ATTENTION.names, *QK_NORM.names, *FFN_NORM.names, *EXPERT_FFN.names),
        (*QKV_BIAS.names, "attn_qkv.bias"),
        ("attn_qkv.weight",),
    )


def _qwen3next(model: Hyperparameters, number: int) -> _Layer:
    layer = _qwen35moe(model, number)
    small = "ssm_beta.weight", "ssm_alpha.weight"
    if not set(small) & set(layer.required):
        return layer
    required = (*(name for name in layer.required if name not in small), "ssm_ba.weight")
    return replace(layer, required=required, optional=(*layer.optional, "ssm_in.weight"))


def _qwen35(model: Hyperparameters, number: int) -> _Layer:
    return _hybrid(model, number, FFN.names, ())


def _qwen35moe(model: Hyperparameters, number: int) -> _Layer:
    ffn = (*EXPERT_FFN.names, *SHARED_EXPERT_FFN.names, "ffn_gate_inp_shexp.weight")
    return _hybrid(model, number, ffn, ("ffn_gate_up_exps.weight",))


def _hybrid(model: Hyperparameters, number: int, ffn: tuple[str, ...], fused: tuple[str, ...]) -> _Layer:
    """Return a layer with attention, with linear attention, or with attention and the prediction of further tokens."""
    both = ("attn_norm.weight", "post_attention_norm.weight", *ffn)
    if _is_linear(model, number):
        return _Layer((*both, *_LINEAR), ("attn_qkv.weight", "attn_gate.weight"), fused)
    attention = (*both, *ATTENTION.names[1:], *QK_NORM.names)
    optional = (*QKV_BIAS.names, "attn_qkv.bias")
    if number < _trunk(model):
        return _Layer(attention, optional, ("attn_qkv.weight", *fused))
    return _Layer((*attention, *_NEXT), (*optional, *_NEXT_OPTIONAL), ("attn_qkv.weight", *fused))


def _trunk(model: Hyperparameters) -> int:
    """Return how many layers do more than to predict further tokens."""
    return (model.natural("block_count") or 0) - (model.natural("nextn_predict_layers") or 0)


def _is_linear(model: Hyperparameters, number: int) -> bool:
    key = "attention.recurrent_layers"
    if model.held(key) is not None:
        each = model.items(key)
        return bool(each[number] if each else model.first(key))
    interval = model.natural("full_attention_interval")
    return number < _trunk(model) and (number + 1) % (4 if interval is None else interval) != 0


def _deepseek2(model: Hyperparameters, number: int) -> _Layer:
    lite = model.natural("attention.q_lora_rank") is None
    queries = ("attn_q.weight",) if lite else ("attn_q_a.weight", "attn_q_a_norm.weight", "attn_q_b.weight")
    split = model.natural("attention.key_length_mla") and model.natural("attention.value_length_mla")
    values = ("attn_k_b.weight", "attn_v_b.weight") if split else ("attn_kv_b.weight",)
    latent = ("attn_kv_a_mqa.weight", "attn_kv_a_norm.weight", *values, "attn_output.weight")
    attention = ("attn_norm.weight", *queries, *latent, *FFN_NORM.names)
    following = number >= _trunk(model)
    required, optional = (_NEXT, _NEXT_OPTIONAL) if following else ((), ())
    if number < (model.natural("leading_dense_block_count") or 0):
        return _Layer((*attention, *FFN.names, *required), optional)
    return _Layer(
        (*attention, *EXPERT_FFN.names, *SHARED_EXPERT_FFN.names, *required),
        ("exp_probs_b.bias", *optional),
        ("ffn_gate_up_exps.weight",),
    )


#: Architecture -> the tensors of its models.
LAYOUTS: Mapping[str, _Layout] = {
    "llama": _Layout(
        _llama, ("output.weight", "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
    ),
    "qwen2": _Layout(_dense(), ("output.weight", "output.bias")),
    "qwen3": _Layout(_dense(*QK_NORM.names), ("output.weight", "cls.output.weight")),
    "qwen3moe": _Layout(_qwen3moe),
    "qwen3next": _Layout(_qwen3next, predicts=True),
    "qwen35": _Layout(_qwen35, predicts=True),
    "qwen35moe": _Layout(_qwen35moe, predicts=True),
    "deepseek2": _Layout(_deepseek2, predicts=True),
    "gemma3": _Layout(
        _dense(*QK_NORM.names, "post_attention_norm.weight", "post_ffw_norm.weight"),
        ("output.weight", "dense_2.weight", "dense_3.weight"),
    ),
}
