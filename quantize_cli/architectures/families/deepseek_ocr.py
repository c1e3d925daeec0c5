"""DeepSeek-OCR and Unlimited-OCR: ordinary attention before the experts of DeepSeek V2."""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures import demands
from quantize_cli.architectures.families.deepseek import DEEPSEEK2
from quantize_cli.architectures.family import leave_out
from quantize_cli.architectures.latent_attention import LATENT_DEMANDS, LATENT_ROWS, LATENT_SIZES
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.parts import ATTENTION
from quantize_cli.architectures.rows import STR, U32

#: Rows about latent attention, in which all heads share one key; the rank of queries is written if there is one.
_LATENT = {(row.key, row.names) for row in LATENT_ROWS[1:]} | {("{arch}.attention.head_count_kv", ())}


def _window(model: Model) -> int | None:
    return model.config.natural("sliding_window_size") or model.config.natural("sliding_window") or None


DEEPSEEK2_OCR = replace(
    DEEPSEEK2,
    architecture="deepseek2-ocr",
    # The template of models whose tokenizer does not have one.
    of_tensors=(STR("tokenizer.chat_template", value="{% for m in messages %}{{m['content']}}{% endfor %}"),),
    metadata=(
        *(row for row in DEEPSEEK2.metadata if (row.key, row.names) not in _LATENT),
        U32("{arch}.attention.sliding_window", value=_window),
    ),
    demands=(*(demand for demand in DEEPSEEK2.demands if demand not in LATENT_DEMANDS), *demands.EXPERTS),
    parts=(ATTENTION, *DEEPSEEK2.parts[1:]),
    optional=DEEPSEEK2.optional[1:],
    namings=(leave_out("sam_model|qwen2_model"), *DEEPSEEK2.namings),
    rules=(),
    sizes={symbol: size for symbol, size in DEEPSEEK2.sizes.items() if symbol not in LATENT_SIZES},
    foldings=(),
)
