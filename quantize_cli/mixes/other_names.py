"""What people say when they mean a format or a type, and the sentence that answers them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from quantize_cli.errors import shown
from quantize_cli.gguf_file.types import WRITABLE_TYPES
from quantize_cli.mixes.tables import ALIASES, FORMATS

#: What formats are called, in any way that is understood -> what to write.
FORMAT_NAMES: Mapping[str, str] = {name: name for name in (*FORMATS, *ALIASES)}

#: What formats are called -> the type that is meant where a type is wanted.
MAIN_TYPES: Mapping[str, str] = {name: FORMATS[ALIASES.get(name, name)].default for name in FORMAT_NAMES}


@dataclass(frozen=True, slots=True)
class Meaning:
    """What is meant by a name that is not one of ours."""

    format: str  #: the nearest format
    advice: str = "choose {}"  #: {} is where the name of the format goes, or that of its main type


_OF_ANOTHER_PROGRAM = "llama.cpp does not have this method; with about as many bits, choose {}"

#: (what people say, as `_key` spells it; what they mean)
_ROWS = (
    ("1BIT INT1 Q1", Meaning("IQ1_M", "for 1 bit a weight, choose {}")),
    ("2BIT INT2 Q2 2", Meaning("Q2_K", "for 2 bits a weight, choose {}")),
    ("3BIT INT3 Q3 3", Meaning("Q3_K_M", "for 3 bits a weight, choose {}")),
    ("4BIT INT4 UINT4 Q4 4", Meaning("Q4_K_M", "for 4 bits a weight, choose {}")),
    ("5BIT INT5 Q5 5", Meaning("Q5_K_M", "for 5 bits a weight, choose {}")),
    ("6BIT INT6 Q6 6", Meaning("Q6_K", "for 6 bits a weight, choose {}")),
    ("8BIT INT8 UINT8 Q8 8", Meaning("Q8_0", "for 8 bits a weight, choose {}")),
    ("16BIT 16", Meaning("BF16", "for 16 bits a weight, choose {}")),
    ("32BIT 32", Meaning("F32", "for 32 bits a weight, choose {}")),
    ("FP16 FLOAT16 HALF", Meaning("F16")),
    ("BFLOAT16 BFP16 AUTO", Meaning("BF16")),
    ("FP32 FLOAT32 FLOAT", Meaning("F32")),
    ("IQ1", Meaning("IQ1_M")),
    ("IQ2", Meaning("IQ2_M")),
    ("IQ3", Meaning("IQ3_M")),
    ("IQ4", Meaning("IQ4_XS")),
    ("MXFP4", Meaning("MXFP4_MOE")),
    ("FP8 F8 E4M3 FP8E4M3 FP8E5M2 E5M2 W8A8 W8A16", Meaning("Q8_0", _OF_ANOTHER_PROGRAM)),
    ("AWQ GPTQ EXL2 EXL3 NF4 FP4 BNB BITSANDBYTES HQQ AQLM MLX W4A16", Meaning("Q4_K_M", _OF_ANOTHER_PROGRAM)),
    ("NVFP4", Meaning("Q4_K_M", "it is a type for --tensor-type, not a format; with about as many bits, choose {}")),
    ("COPY", Meaning("BF16", "to copy all tensors as they are, choose the format that they have, for example {}")),
    ("Q4044 Q4048 Q4088", Meaning("Q4_0", "llama.cpp now arranges such weights when it loads a file of {}")),
    ("Q42 Q43", Meaning("Q4_0", "llama.cpp has removed it; choose {}")),
    ("GGUF GGML DEFAULT BEST", Meaning("Q4_K_M", "the usual choice is {}")),
)
_SAID = {word: meaning for words, meaning in _ROWS for word in words.split()}

#: Mixes that other people make of llama.cpp's types: pattern of the key -> advice. The format meant is in the brackets.
_MIXES_OF_OTHERS = (
    (re.compile(r"(?:UD)?I?(Q[1-68])K?X{1,2}L"), "it is a mix of other people's; the nearest format is {}"),
    (
        re.compile(r"(Q[2-6])KL"),
        "people make it by --format {} --output-tensor-type q8_0 --token-embedding-type q8_0",
    ),
)


def unknown_format(name: str) -> str:
    """Answer somebody who takes `name` for a format."""
    meaning = _meaning_of_number(name) or _SAID.get(_key(name)) or _mix_of_others(_key(name))
    return f"Unknown format {shown(name)}; {_advice(name, meaning, FORMAT_NAMES) or '`quantize formats` lists all'}."


def unknown_type(name: str) -> str:
    """Answer somebody who takes `name` for a type."""
    advice = _advice(name, _SAID.get(_key(name)), {**MAIN_TYPES, **{known: known for known in WRITABLE_TYPES}})
    return f"Unknown type {shown(name)}; {advice or 'choose one, for example q8_0, q6_k or q4_k'}."


def means_format(name: str) -> bool:
    """Tell whether `name` is a format however it is spelled, or what people call one."""
    return _key(name) in {*map(_key, FORMAT_NAMES), *_SAID}


def _advice(name: str, meaning: Meaning | None, names: Mapping[str, str]) -> str | None:
    """Tell what to do; `names` has every spelling that is understood -> what to write."""
    if exact := _exact(name, names):
        return f"write {names[exact].lower()}"
    if meaning is not None:
        return meaning.advice.format(names[meaning.format].lower())
    keys = {_key(known): written.lower() for known, written in names.items()}
    near = dict.fromkeys(keys[match] for match in get_close_matches(_key(name), keys, n=3, cutoff=0.6))
    return f"the nearest {'name is' if len(near) == 1 else 'names are'} {', '.join(near)}" if near else None


def _meaning_of_number(text: str) -> Meaning | None:
    """Return what a number of llama-quantize means; it may be a number of bits as well, which is not the same."""
    numbered = next((mix.name for mix in FORMATS.values() if text == str(mix.file_type)), None)
    if numbered is None:
        return None
    bits = _SAID.get(text, Meaning(numbered, "write {}"))
    return Meaning(bits.format, f"llama-quantize has this number for {numbered.lower()}; {bits.advice}")


def _mix_of_others(key: str) -> Meaning | None:
    for pattern, advice in _MIXES_OF_OTHERS:
        if found := pattern.fullmatch(key):
            return Meaning(_SAID[found[1]].format, advice)
    return None


def _exact(name: str, names: Mapping[str, str]) -> str | None:
    """Return the name that differs in separators and a suffix alone, such as q4km or model-Q4_K_M.gguf."""
    keys = {_key(known): known for known in names}
    return keys.get(_key(name)) or keys.get(_key(re.split(r"[-./=]", name.removesuffix(".gguf"))[-1]))


def _key(name: str) -> str:
    """Spell a name in capital letters and digits alone."""
    return re.sub(r"[^A-Z0-9]", "", name.upper().removesuffix(".GGUF"))
