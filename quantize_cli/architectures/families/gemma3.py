"""Gemma 3, its text part: RMS norms whose weights are stored less 1, and norms behind both halves of a layer."""

from __future__ import annotations

from quantize_cli.architectures import demands, foldings
from quantize_cli.architectures.common import COMMON, HEADS, KV_HEADS
from quantize_cli.architectures.config import Config
from quantize_cli.architectures.family import Family, Part, change, move
from quantize_cli.architectures.maps import Add
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Move, Rows
from quantize_cli.architectures.parts import ATTENTION, FFN, FFN_NORM, QK_NORM
from quantize_cli.architectures.rope import main_parameters
from quantize_cli.architectures.rows import F32, U32
from quantize_cli.architectures.sizes import Named, Sizes, or_default
from quantize_cli.checkpoints.sidecars import read_object
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.vocabularies import GEMMA


def _window(model: Model) -> int | None:
    return None if model.config.get("sliding_window_pattern") == 1 else model.config.required("sliding_window")


def _of_vocabulary(sizes: Sizes, shape: tuple[int, ...]) -> tuple[Move, ...]:
    """Cut the embedding's rows that do not belong to a token."""
    tokens = _token_count(sizes.model)
    return () if tokens >= shape[0] else (Rows(shape[0], 0, tokens),)


def _token_count(model: Model) -> int:
    """Count tokens as the reference does: tokenizer.model is padded to vocab_size, tokenizer.json is not."""
    if model.sidecars.has("tokenizer.model"):
        return model.config.required("vocab_size")
    tokenizer = Config(model.sidecars.where("tokenizer.json"), read_object(model.sidecars, "tokenizer.json"))
    added = tokenizer.get("added_tokens")
    return len(tokenizer.section("model").section("vocab").values) + (len(added) if isinstance(added, list) else 0)


GEMMA3 = Family(
    architecture="gemma3",
    metadata=(
        *COMMON,
        U32("{arch}.context_length", "max_position_embeddings", value=131072),
        U32("{arch}.attention.head_count", "num_attention_heads", value=8),
        F32("{arch}.attention.layer_norm_rms_epsilon", "rms_norm_eps", value=1e-6),
        U32("{arch}.attention.key_length", "head_dim", value=256),
        U32("{arch}.attention.value_length", "head_dim", value=256),
        F32(
            "{arch}.rope.freq_base", value=lambda model: main_parameters(model.rope).number("rope_theta") or 1_000_000.0
        ),
        F32(
            "{arch}.final_logit_softcapping", value=lambda model: model.config.number("final_logit_softcapping") or None
        ),
        U32("{arch}.attention.sliding_window", value=_window),
        U32("{arch}.attention.head_count_kv", "num_key_value_heads", value=4),
    ),
    demands=(
        *demands.ATTENTION,
        demands.Demand("attention.sliding_window"),
        demands.Demand("rope.freq_base_swa", ValueType.FLOAT32),
        demands.Demand("final_logit_softcapping", ValueType.FLOAT32, least=None),
    ),
    vocabulary=GEMMA,
    parts=(ATTENTION, QK_NORM, FFN_NORM, FFN, Part(("post_attention_norm.weight", "post_ffw_norm.weight"))),
    rules=(move(r"embed_tokens\.weight$", _of_vocabulary), change(r"norm\.weight$", Add(1.0))),
    sizes={  # the metadata above has the same defaults
        "heads": Named(*HEADS, default=8),
        "kv_heads": or_default("kv_heads", 4, *KV_HEADS),
        "head": or_default("head", 256, "head_dim"),
    },
    shapes={"token_embd.weight": ("tokens", "hidden")},  # as many as the tokenizer has, see _of_vocabulary
    foldings=foldings.USUAL,
)
