"""Tokenizers of families whose own is not there: the tokens of a related real one among the family's special tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from golden.families.case import Vocabulary
from golden.families.tokenizer_json import Json, added, beginning
from golden.families.vocabularies import GLM_SPLIT, QWEN_3_5_SPLIT, decoder_of, files_of, real


@dataclass(frozen=True)
class Relative:
    """What a family's tokenizer has of its own; the splits are the related one's unless some are given."""

    of: str  #: a cut tokenizer
    pre_tokenizer: str | None
    first: tuple[str, ...] = ()  #: special tokens before the words, in the vocabulary
    last: tuple[str, ...] = ()  #: special tokens behind the words
    plain: tuple[str, ...] = ()  #: added tokens behind those that are not special
    normalized: bool = False  #: whether these are looked for in the normalized text
    keeps: bool = False  #: whether those of the related one stay that are not special, and all are in the vocabulary
    starts: tuple[str, ...] = ()  #: what the post-processor puts before a text
    splits: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)  #: tokenizer_config.json


FAST = {"clean_up_tokenization_spaces": False, "tokenizer_class": "PreTrainedTokenizerFast"}
GPT2 = {"add_prefix_space": False, "clean_up_tokenization_spaces": False, "tokenizer_class": "GPT2Tokenizer"}
END = "<|endoftext|>"
CHAT = ("<|im_start|>", "<|im_end|>")
MIDDLES = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
THINK = ("<think>", "</think>")
#: The first special tokens of Mistral's newer tokenizers.
TEKKEN = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]")


def ends(bos: str | None, eos: str, pad: str | None = None, unk: str | None = None) -> dict[str, str | None]:
    """Return the roles of special tokens as tokenizer_config.json has them."""
    return {"bos_token": bos, "eos_token": eos, "pad_token": pad, "unk_token": unk}


RELATIVES = {
    "apertus": Relative(
        "gptoss",
        "tekken",
        first=(
            *("<unk>", "<s>", "</s>", "<pad>"),
            *(f"<|{who}_{end}|>" for who in ("system", "developer", "user", "assistant") for end in ("start", "end")),
            *("<|inner_prefix|>", "<|inner_suffix|>", "<|tools_prefix|>", "<|tools_suffix|>"),
        ),
        starts=("<s>",),
        settings={**FAST, **ends("<s>", "<|assistant_end|>", "<pad>", "<unk>")},
    ),
    "arcee": Relative(
        "llama3_1",
        "llama-bpe",
        last=("<|begin_of_text|>", "<|end_of_text|>", *CHAT, "<|pad|>"),
        starts=("<|begin_of_text|>",),
        settings={**FAST, **ends("<|begin_of_text|>", "<|im_end|>", "<|pad|>")},
    ),
    "command-r": Relative(
        "llama3_1",
        "command-r",
        first=("<PAD>", "<UNK>", "<CLS>", "<SEP>", "<MASK_TOKEN>", "<BOS_TOKEN>", "<EOS_TOKEN>", "<EOP_TOKEN>"),
        last=(
            *("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|YES_TOKEN|>", "<|NO_TOKEN|>"),
            *("<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>"),
        ),
        starts=("<BOS_TOKEN>",),
        settings={
            "add_bos_token": True,
            "add_eos_token": False,
            "add_prefix_space": False,
            "legacy": True,
            "clean_up_tokenization_spaces": False,
            "tokenizer_class": "CohereTokenizer",
            **ends("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "<PAD>"),
        },
    ),
    "deepseek-llm": Relative(
        "deepseek_v3",
        "deepseek-llm",
        last=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
        plain=("ø", "ö", "ú"),
        normalized=True,
        starts=("<｜begin▁of▁sentence｜>",),
        settings={
            "add_bos_token": True,
            "add_eos_token": False,
            "tokenizer_class": "LlamaTokenizerFast",
            **ends("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
        },
    ),
    "exaone4": Relative(
        "gptoss",
        "exaone4",
        first=("[PAD]", "[BOS]", "[EOS]", "[UNK]", "[|endofturn|]", "[|system|]", "[|user|]", "[|assistant|]"),
        plain=THINK,
        settings={**GPT2, **ends("[BOS]", "[|endofturn|]", "[PAD]", "[UNK]")},
    ),
    "falcon": Relative(
        "gpt2",
        "falcon",
        first=(
            *(
                f">>{name}<<"
                for name in ("TITLE", "ABSTRACT", "INTRODUCTION", "SUMMARY", "COMMENT", "ANSWER", "QUESTION")
            ),
            *(">>DOMAIN<<", ">>PREFIX<<", ">>SUFFIX<<", ">>MIDDLE<<", END),
        ),
        settings={**FAST, "add_prefix_space": False, "eos_token": END, "model_max_length": 2048},
    ),
    "falcon-h1": Relative(
        "llama3_1",
        "falcon-h1",
        first=("<|pad|>", "<|end_of_text|>", "<|begin_of_text|>", *CHAT, ">>TITLE<<", ">>ABSTRACT<<"),
        settings={**FAST, **ends("<|begin_of_text|>", "<|end_of_text|>", "<|pad|>")},
    ),
    "gemma4": Relative(
        "gemma3",
        None,
        first=(
            *("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "[multimodal]", "<|tool>", "<tool|>"),
            *("<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>', "<|think|>"),
            *("<|channel>", "<channel|>", "<|turn>", "<turn|>"),
        ),
        last=("<|image>", "<|audio>", "<|image|>", "<|audio|>", "<image|>", "<audio|>", "<|video|>"),
        keeps=True,
        starts=("<bos>",),
        settings={
            "audio_token": "<|audio|>",
            "backend": "tokenizers",
            "boa_token": "<|audio>",
            "boi_token": "<|image>",
            "eoa_token": "<audio|>",
            "eoc_token": "<channel|>",
            "eoi_token": "<image|>",
            "eot_token": "<turn|>",
            "escape_token": '<|"|>',
            "extra_special_tokens": ["<|video|>"],
            "image_token": "<|image|>",
            "mask_token": "<mask>",
            "padding_side": "left",
            "processor_class": "Gemma4Processor",
            "soc_token": "<|channel>",
            "sot_token": "<|turn>",
            "think_token": "<|think|>",
            "tokenizer_class": "GemmaTokenizer",
            **ends("<bos>", "<eos>", "<pad>", "<unk>"),
        },
    ),
    "glm4": Relative(
        "llama3_1",
        "glm4",
        last=(
            *(END, "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"),
            *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "<|image|>"),
        ),
        plain=THINK,
        splits=(GLM_SPLIT,),
        settings={
            **FAST,
            "do_lower_case": False,
            "eos_token": END,
            "pad_token": END,
            "remove_space": False,
            "chat_template": "[gMASK]<sop>{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}",
        },
    ),
    "hunyuan-dense": Relative(
        "llama3_1",
        "hunyuan-dense",
        last=(
            *("<｜hy_begin▁of▁sentence｜>", "<｜hy_end▁of▁sentence｜>", "<｜hy_▁pad▁｜>"),
            *("<｜hy_User｜>", "<｜hy_Assistant｜>", "<｜hy_place▁holder▁no▁2｜>", "<｜hy_place▁holder▁no▁3｜>"),
        ),
        settings={**FAST, **ends("<｜hy_begin▁of▁sentence｜>", "<｜hy_place▁holder▁no▁2｜>", "<｜hy_▁pad▁｜>")},
    ),
    # As files with a tokenizer.json have it; the reference looks for ranks where it is told kimi-k2.
    "kimi-k2": Relative(
        "deepseek_v3",
        "deepseek-v3",
        last=(
            *("[BOS]", "[EOS]", "<|im_end|>", "<|im_user|>", "<|im_assistant|>", "<|start_header_id|>"),
            *("<|end_header_id|>", "[EOT]", "<|im_system|>", "<|im_middle|>", "<|media_pad|>", "[UNK]", "[PAD]"),
        ),
        plain=("<|tool_call_begin|>", "<|tool_call_end|>", *THINK),
        settings={**FAST, **ends("[BOS]", "[EOS]", "[PAD]", "[UNK]")},
    ),
    "lfm2": Relative(
        "llama3_1",
        "lfm2",
        first=(
            *("<|pad|>", "<|startoftext|>", END, "<|fim_pre|>", "<|fim_mid|>", "<|fim_suf|>"),
            *(*CHAT, "<|tool_list_start|>", "<|tool_list_end|>", "<|tool_call_start|>", "<|tool_call_end|>"),
        ),
        starts=("<|startoftext|>",),
        settings={**FAST, **ends("<|startoftext|>", "<|im_end|>", "<|pad|>")},
    ),
    "ling2": Relative(
        "llama3_1",
        "bailingmoe2",
        last=("<|startoftext|>", END, "[CLS]", "[gMASK]", "<role>", "</role>", "<|role_end|>", "<|number_start|>"),
        plain=THINK,
        settings={**FAST, "cls_token": "[CLS]", "fast_tokenizer": True, **ends("<|startoftext|>", "<|role_end|>", END)},
    ),
    "llama4": Relative(
        "gptoss",
        "llama4",
        last=(
            *("<|begin_of_text|>", "<|end_of_text|>", *MIDDLES, "<|header_start|>", "<|header_end|>"),
            *("<|eom|>", "<|eot|>", "<|step|>", "<|image_start|>", "<|image_end|>", "<|patch|>"),
            "<|finetune_right_pad|>",
        ),
        starts=("<|begin_of_text|>",),
        settings={
            **FAST,
            "add_bos_token": True,
            **ends("<|begin_of_text|>", "<|eot|>", "<|finetune_right_pad|>"),
        },
    ),
    "minimax-m2": Relative(
        "gptoss",
        "minimax-m2",
        last=("]!p~[", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "]!d~[", "]~!b[", "]~b]", "[e~[", "]<]image[>["),
        plain=("<minimax:tool_call>", "</minimax:tool_call>", *THINK),
        settings={**GPT2, **ends("]~!b[", "[e~[", None, "]!d~[")},
    ),
    "ministral3": Relative(
        "gptoss",
        "tekken",
        first=(*TEKKEN, "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]"),
        starts=("<s>",),
        settings={**FAST, **ends("<s>", "</s>", "<pad>", "<unk>")},
    ),
    "olmo2": Relative(
        "llama3_1",
        "dbrx",
        last=("|||IP_ADDRESS|||", *MIDDLES, "|||EMAIL_ADDRESS|||", END, "<|endofprompt|>", "<|pad|>"),
        settings={**GPT2, **ends(END, END, "<|pad|>", END)},
    ),
    "phi-2": Relative(
        "gpt2",
        "phi-2",
        last=(END,),
        plain=(" " * 5, " " * 4, " " * 3, " " * 2, "\t\t"),
        normalized=True,
        settings={
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": True,
            "tokenizer_class": "CodeGenTokenizer",
            **ends(END, END, None, END),
        },
    ),
    "phi-4": Relative(
        "llama3_1",
        "dbrx",
        last=("<|dummy_0|>", END, *MIDDLES, *CHAT, "<|im_sep|>", "<|endofprompt|>"),
        settings={**GPT2, **ends(END, "<|im_end|>", "<|dummy_0|>", "�")},
    ),
    "phi-4-mini": Relative(
        "gptoss",
        "gpt-4o",
        last=(END, "<|assistant|>", "<|user|>", "<|system|>", "<|end|>", "<|endofprompt|>", "<|tool_call|>"),
        settings={**GPT2, **ends(END, END, END, END)},
    ),
    "qwen35": Relative(
        "qwen3",
        "qwen35",
        last=(
            *(END, *CHAT, "<|object_ref_start|>", "<|object_ref_end|>", "<|vision_start|>", "<|vision_end|>"),
            *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
        ),
        plain=("<tool_call>", "</tool_call>", *THINK),
        splits=(QWEN_3_5_SPLIT,),
        settings={
            "add_bos_token": False,
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "errors": "replace",
            "model_max_length": 262144,
            "split_special_tokens": False,
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "pretokenize_regex": QWEN_3_5_SPLIT,
            "tokenizer_class": "Qwen2Tokenizer",
            **ends(None, "<|im_end|>", END),
            "chat_template": "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}",
        },
    ),
    "seed-oss": Relative(
        "llama3_1",
        "seed-coder",
        first=("<seed:bos>", "<seed:pad>", "<seed:eos>", "<seed:tool_call>", "</seed:tool_call>"),
        plain=("<seed:think>", "</seed:think>", "<seed:cot_budget_reflect>", "</seed:cot_budget_reflect>"),
        settings={**FAST, **ends("<seed:bos>", "<seed:eos>", "<seed:pad>")},
    ),
    "smollm3": Relative(
        "llama3_1",
        "llama-bpe",
        last=("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", *CHAT),
        plain=THINK,
        settings={**FAST, "fast": False, **ends(None, "<|im_end|>", "<|im_end|>")},
    ),
    "stablelm2": Relative(
        "llama3_1",
        "stablelm2",
        last=(END, *MIDDLES, "<|fim_pad|>", "<gh_stars>", "<filename>", *CHAT, "<|endofprompt|>"),
        settings={**GPT2, "clean_up_tokenization_spaces": True, **ends(END, END, END, END)},
    ),
    "starcoder2": Relative(
        "granite-3.1-moe",
        "starcoder",
        first=(
            *(END, "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<repo_name>", "<file_sep>"),
            *("<issue_start>", "<issue_comment>", "<issue_closed>", "<jupyter_start>", "<jupyter_text>"),
        ),
        settings={**GPT2, "clean_up_tokenization_spaces": True, **ends(END, END, None, END), "vocab_size": 49152},
    ),
}


def relative(family: str) -> Vocabulary:
    """Return the tokenizer of a family in RELATIVES."""
    own = RELATIVES[family]
    tokenizer = json.loads(real(own.of).files["tokenizer.json"])
    theirs = {token["content"]: token for token in tokenizer["added_tokens"]}
    ids = tokenizer["model"]["vocab"]
    kept = {text: token for text, token in theirs.items() if own.keeps and not token["special"]}
    gone = {*theirs} - kept.keys() | {*own.first, *own.last, *own.plain}
    words = [text for text in sorted(ids, key=ids.get) if text not in gone]
    place = {text: len(own.first) + number for number, text in enumerate(words)}
    behind = len(own.first) + len(words)
    special = {token: number for number, token in enumerate(own.first)}
    special |= {token: behind + number for number, token in enumerate(own.last)}
    plain = {token: behind + len(own.last) + number for number, token in enumerate(own.plain)}
    tokens = [added(number, token) for token, number in special.items()]
    tokens += [{**token, "id": place[text]} for text, token in kept.items() if text in place]
    tokens += [added(number, token, False, own.normalized) for token, number in plain.items()]
    level = tokenizer["pre_tokenizer"]
    if own.splits:
        level = {**level, "pretokenizers": [*map(_split, own.splits), level["pretokenizers"][-1]]}
    changed: Json = {
        **tokenizer,
        "added_tokens": tokens,
        "model": {
            **tokenizer["model"],
            "vocab": {**(special if own.keeps else {text: special[text] for text in own.first}), **place},
        },
        "post_processor": beginning(*((token, special[token]) for token in own.starts)),
        "pre_tokenizer": level,
    }
    settings = {"added_tokens_decoder": decoder_of(tokens), **own.settings}
    return Vocabulary(files_of(settings, changed), own.pre_tokenizer)


def _split(pattern: str) -> Json:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
