"""What llama.cpp keeps of a context: the keys and values of its tokens, and the states of recurrent layers.

The sizes are those that llama.cpp allocates (src/llama-kv-cache*.cpp, src/llama-memory-*.cpp, `llama_model::
create_memory`) for one sequence, with flash attention and F16 keys and values, which is what it does by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from quantize_cli.architectures.hyperparameters import Hyperparameters

#: Tokens that llama.cpp works on at once, unless -ub is given; a sliding window is kept with so many more.
BATCH = 512
#: llama.cpp keeps a multiple of so many tokens.
_CELLS = 256
#: Bytes of a key's or value's number, F16, and of a state's, F32.
_F16, _F32 = 2, 4


@dataclass(frozen=True, slots=True)
class _Windows:
    """Which layers of an architecture see a window alone, where the metadata do not list them (src/models/)."""

    every: int  #: one of so many layers sees the whole context; 0: none does
    whole_first: bool = False  #: whether it is the first of them, and not the last
    tokens: int | None = None  #: the window where the metadata do not state one
    fixed: int | None = None  #: the window whatever the metadata state
    layers: int | None = None  #: only models with so many layers have windows

    def slides(self, layer: int) -> bool:
        """Tell whether a layer sees a window."""
        if self.every == 0:
            return True
        return layer % self.every != (0 if self.whole_first else self.every - 1)


#: Architecture -> its windows; all layers of other architectures keep the whole context.
_WINDOWS: Mapping[str, _Windows] = {
    "afmoe": _Windows(4),
    "cohere2": _Windows(4),
    "cohere2moe": _Windows(4, whole_first=True),
    "exaone-moe": _Windows(4, tokens=128),
    "exaone4": _Windows(4, tokens=4096, layers=64),
    "gemma2": _Windows(2, tokens=4096),
    "gemma3": _Windows(6),
    "gemma3n": _Windows(5),
    "gemma4": _Windows(1),
    "gpt-oss": _Windows(2),
    "granite_swa": _Windows(1),
    "laguna": _Windows(4, whole_first=True),
    "lfm2": _Windows(0),
    "llama4": _Windows(4, fixed=8192),
    "maple": _Windows(1),
    "mellum": _Windows(4),
    "mimo2": _Windows(1),
    "muse-glimmer": _Windows(4),
    "olmo2": _Windows(4),
    "plamo3": _Windows(8),
    "smallthinker": _Windows(4, whole_first=True, fixed=4096),
    "spark2_5": _Windows(1),
    "step35": _Windows(1),
}

#: They embed text or work on all of it at once, and keep nothing of it.
_WITHOUT_MEMORY = frozenset({
    "bert", "dream", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "llada", "llada-moe",
    "modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "rnd1", "wavtokenizer-dec",
})  # fmt: skip

#: What they keep is not of the kinds that are known here.
_UNKNOWN = frozenset({
    "bailingmoe3", "deepseek4", "dflash", "dots3note", "hy_v4", "kimi-k3", "minimax-01", "nanbeige",
})  # fmt: skip

#: Whether a layer of an architecture is recurrent, by the layer's number.
_IsRecurrent = Callable[[Hyperparameters, int], bool]


def _always(_model: Hyperparameters, _layer: int) -> bool:
    return True


def _without_heads(model: Hyperparameters, layer: int) -> bool:
    return _of_layer(model, "attention.head_count_kv", layer) == 0


def _without_heads_and_ffn(model: Hyperparameters, layer: int) -> bool:
    return _without_heads(model, layer) and _of_layer(model, "feed_forward_length", layer) == 0


def _linear(model: Hyperparameters, layer: int) -> bool:
    if model.held("attention.recurrent_layers") is not None:
        return bool(_of_layer(model, "attention.recurrent_layers", layer))
    return (layer + 1) % (model.natural("full_attention_interval") or 4) != 0


_RECURRENT: Mapping[str, _IsRecurrent] = {
    **dict.fromkeys(("mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7", "falcon-h1"), _always),
    **dict.fromkeys(
        ("glm5-next", "granitehybrid", "jamba", "kimi-linear", "lfm2", "lfm2moe", "plamo2"), _without_heads
    ),
    **dict.fromkeys(("nemotron_h", "nemotron_h_moe"), _without_heads_and_ffn),
    **dict.fromkeys(("qwen35", "qwen35moe", "qwen3next", "qwen4exp"), _linear),
}
#: Its layers have both attention and a state.
_BOTH = frozenset({"falcon-h1"})


@dataclass(frozen=True, slots=True)
class Kept:
    """The memory of one context."""

    kv_bytes: int  #: keys and values
    state_bytes: int  #: recurrent states, whose size does not depend on the context


def cells(context: int) -> int:
    """Return the number of tokens that llama.cpp makes room for when it is asked for `context`."""
    return -(-context // _CELLS) * _CELLS


def kept_of(model: Hyperparameters, context: int) -> Kept | None:
    """Return the size of what llama.cpp keeps, or None if it is not known for this architecture.

    Args:
        model: The metadata, which llama.cpp loads.
        context: Tokens.
    """
    if model.architecture in _UNKNOWN:
        return None
    if model.architecture in _WITHOUT_MEMORY:
        return Kept(0, 0)
    recurrent = _RECURRENT.get(model.architecture)
    states = [layer for layer in range(_trunk(model)) if recurrent is not None and recurrent(model, layer)]
    attending = [layer for layer in range(_with_cache(model)) if layer not in states or model.architecture in _BOTH]
    kv_bytes = sum(_layer_bytes(model, layer, cells(context)) for layer in attending)
    return Kept(kv_bytes, len(states) * _state_bytes(model) + _ngram_bytes(model))


def _trunk(model: Hyperparameters) -> int:
    """Return the number of layers without those that predict further tokens."""
    return (model.natural("block_count") or 0) - (model.natural("nextn_predict_layers") or 0)


def _with_cache(model: Hyperparameters) -> int:
    """Return the number of layers with keys and values of their own; the others use those of a layer before."""
    if model.architecture == "gemma3n":
        return min(20, _trunk(model))
    return _trunk(model) - (model.natural("attention.shared_kv_layers") or 0) * (model.architecture == "gemma4")


def _layer_bytes(model: Hyperparameters, layer: int, whole: int) -> int:
    """Return the bytes that a layer keeps of `whole` tokens, or of its window."""
    window = _window(model, layer)
    tokens = whole if window is None else cells(min(whole, window + BATCH))
    suffix = "" if window is None else "_swa"
    heads = _of_layer(model, "attention.head_count_kv", layer)
    if heads is None:
        heads = _of_layer(model, "attention.head_count", layer) or 0
    numbers = sum(heads * _head_size(model, kind, suffix) for kind in _kinds(model))
    return tokens * (numbers + sum(_indexed(model, layer))) * _F16


def _window(model: Hyperparameters, layer: int) -> int | None:
    """Return the tokens that a layer sees, or None for all of them."""
    windows = _WINDOWS.get(model.architecture)
    if windows is None or (windows.layers is not None and windows.layers != _trunk(model)):
        return None
    stated = model.natural("attention.sliding_window")
    window = stated if stated == 0 else windows.fixed or stated or windows.tokens
    if not window:
        return None
    pattern = model.held("attention.sliding_window_pattern")
    if pattern is None:
        return window if windows.slides(layer) else None
    if each := model.items("attention.sliding_window_pattern"):
        return window if each[layer] else None
    return window if _Windows(int(pattern.value), windows.whole_first).slides(layer) else None


def _kinds(model: Hyperparameters) -> tuple[str, ...]:
    """Return what is kept of a token: with latent attention (MLA), the values are a part of the keys."""
    latent = model.natural("attention.key_length_mla") and model.natural("attention.value_length_mla")
    return ("key",) if latent else ("key", "value")


def _head_size(model: Hyperparameters, kind: str, suffix: str) -> int:
    stated = model.natural(f"attention.{kind}_length{suffix}")
    if stated is None and suffix:
        stated = model.natural(f"attention.{kind}_length")
    heads = model.first("attention.head_count") or 0
    if not heads:  # models without attention
        return 0
    return (model.natural("embedding_length") or 0) // heads if stated is None else stated


def _indexed(model: Hyperparameters, layer: int) -> Iterator[int]:
    """Yield the numbers that a token's entry in the indexer of sparse attention has."""
    width = model.natural("attention.indexer.key_length") or 0
    if model.architecture in ("deepseek32", "glm-dsa", "glm5-next"):
        types = model.items("attention.indexer.types")
        pooled = 3 if model.natural("attention.indexer.kpool") else 1  # a key, a gate and a pooled value
        yield width * pooled if not types or types[layer] else 0
    elif model.architecture == "qwen4exp":
        yield width
    elif model.architecture == "minimax-m3" and layer >= (model.natural("leading_dense_block_count") or 0):
        yield from (width, _head_size(model, "value", ""))


def _state_bytes(model: Hyperparameters) -> int:
    """Return the bytes of a recurrent layer's state: the last tokens of its convolution, and the state proper."""
    width = model.natural("embedding_length") or 0
    if head := model.natural("wkv.head_size"):  # RWKV
        shifted = model.natural("token_shift_count")
        return width * ((2 if shifted is None else shifted) + head) * _F32
    if kernel := model.natural("shortconv.l_cache"):  # LFM2
        return width * (kernel - 1) * _F32
    if head := model.natural("kda.head_dim"):  # Kimi Delta Attention
        heads, kernel = model.first("attention.head_count") or 0, model.natural("ssm.conv_kernel") or 4
        return (3 * (kernel - 1) + head) * heads * head * _F32
    inner, state = model.natural("ssm.inner_size") or 0, model.natural("ssm.state_size") or 0
    groups, kernel = model.natural("ssm.group_count") or 0, model.natural("ssm.conv_kernel") or 0
    return (max(kernel - 1, 0) * (inner + 2 * groups * state) + state * inner) * _F32


def _ngram_bytes(model: Hyperparameters) -> int:
    """Return the bytes that the convolutions of n-gram embeddings keep (Qwen4Exp), in the layers that have them."""
    width = (model.natural("embedding_length") or 0) * (model.natural("hyper_connection.count") or 0)
    tokens = max((model.natural("ple.conv_kernel") or 0) - 1, 0) * (model.natural("ple.ngram_size") or 0)
    return len(model.items("ple.layers")) * width * tokens * _F32


def _of_layer(model: Hyperparameters, key: str, layer: int) -> int | None:
    """Return the number of one layer; None if the key is missing."""
    each = model.items(key)
    return each[layer] if each else model.first(key)
