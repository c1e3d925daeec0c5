"""Qwen 3's rerankers: chat models that answer yes or no; of the output matrix, only the rows of the answers are kept.

The reference is `Qwen3Model` (conversion/qwen.py).
"""

from __future__ import annotations

from dataclasses import replace

from quantize_cli.architectures.family import Family, Output, Rule
from quantize_cli.architectures.model import Model
from quantize_cli.architectures.moves import Chosen, Move
from quantize_cli.architectures.rows import ARRAY, STR, U32, Source
from quantize_cli.architectures.sizes import Sizes
from quantize_cli.checkpoints.sidecars import Json, read_object, read_text
from quantize_cli.errors import CheckpointError, shown
from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.json_values import mapping

_NAMES = "qwen3-reranker", "qwen3-vl-reranker"
_ANSWERS = "yes", "no"
_RANK = 4  # llama.h, `LLAMA_POOLING_TYPE_RANK`
_PROMPT = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
    "<Query>: {query}\n<Document>: {document}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)


def is_reranker(model: Model) -> bool:
    """Tell whether a model is a reranker, by its name or the title of its card; its config.json is a chat model's."""
    card = read_text(model.sidecars, "README.md").lower() if model.sidecars.has("README.md") else ""
    names = f"{model.name} {model.config.text('_name_or_path') or ''}".lower()
    return any(name in names or f"# {name}" in card for name in _NAMES)


def _if_reranker(value: Json) -> Source:
    return lambda model: value if is_reranker(model) else None


#: Rows after those of Qwen 2, without values for chat models.
RERANKER_ROWS = (
    U32("{arch}.pooling_type", value=_if_reranker(_RANK)),
    ARRAY(ValueType.STRING, "{arch}.classifier.output_labels", value=_if_reranker(list(_ANSWERS))),
    STR("tokenizer.chat_template.rerank", value=_if_reranker(_PROMPT)),
    ARRAY(ValueType.STRING, "tokenizer.chat_templates", value=_if_reranker(["rerank"])),
)


def _answers(sizes: Sizes, _shape: tuple[int, ...]) -> tuple[Move, ...]:
    """Return the choice of the answers' rows."""
    sidecars = sizes.model.sidecars
    tokens = mapping(mapping(read_object(sidecars, "tokenizer.json").get("model")).get("vocab"))
    ids = tuple(number for text in _ANSWERS if type(number := tokens.get(text)) is int and number >= 0)
    if len(ids) != len(_ANSWERS):
        raise CheckpointError(
            f"{sizes.model.name} is a Qwen3 reranker, but {sidecars.where('tokenizer.json')} does not give ids for its "
            f"answers, {' and '.join(map(shown, _ANSWERS))}; take the model's own tokenizer."
        )
    return (Chosen(ids),)


def reranker(family: Family, model: Model) -> Family | None:
    """Return the family of the rerankers among the models of `family`, or None if `model` is a chat model."""
    if not is_reranker(model):
        return None
    tied = bool(model.config.get("tie_word_embeddings"))
    answers = Output("cls.output.weight", _answers)
    kept = (answers, Output()) if tied else (answers,)
    return replace(
        family,
        outside=(*family.outside, "cls.output.weight"),
        optional_outside=("output.weight",) if tied else (),
        rules=(*family.rules, Rule(rf"^(model\.)?{'embed_tokens' if tied else 'lm_head'}\.weight$", kept)),
        sizes={**family.sizes, "labels": lambda _sizes: len(_ANSWERS)},
        shapes={**family.shapes, "cls.output.weight": ("labels", "hidden")},
    )
