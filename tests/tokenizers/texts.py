"""Texts that tell tokenizers apart: scripts, code, white space, emoji, control characters; by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from unicodedata import normalize

#: Letters with marks of their own, which stand behind them.
_MARKED = {
    "Hindi": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा",
    "Thai": "นายสังฆภัณฑ์ เฮงพิทักษ์ฝั่ง",
    "Bengali": "আমার সোনার বাংলা আমি তোমায় ভালোবাসি",
    "Tamil": "யாமறிந்த மொழிகளிலே தமிழ்மொழி போல்",
    "Khmer": "កាន់តែពិសេសអាច",
    "Burmese": "ယေဓမ္မာ ဟေတုပ္ပဘဝါ",
    "Tibetan": "ཨོཾ་མ་ཎི་པདྨེ་ཧཱུྃ",
    "Arabic with vowels": "الْحَمْدُ لِلَّهِ رَبِّ الْعَالَمِينَ",
    "Hebrew with points": "בְּרֵאשִׁית בָּרָא אֱלֹהִים",
}
#: Composed characters as their parts.
_DECOMPOSED = {
    "Vietnamese, decomposed": normalize("NFD", "Tiếng Việt đậm đà, người Việt Nam yêu nước."),
    "Korean, decomposed": normalize("NFD", "키스의 고유조건은"),
}
_OTHERS = {
    "English": "The quick brown fox doesn't jump over the LAZY dogs' beds; it'll sleep.",
    "French": "Le cœur a ses raisons que la raison ne connaît point — Straße, naïveté, Ærø.",
    "Russian": "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "Chinese": "我想在apple工作1314151天～ 天地玄黄，宇宙洪荒。",
    "Japanese": "いろはにほへと ちりぬるを カタカナ ヴァイオリン",
    "Korean": "키스의 고유조건은 입술끼리 만나야 하고",
    "Arabic": "نص حكيم له سر قاطع وذو شأن عظيم",
    "Hebrew": "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "Python": 'def f(x: int) -> str:\n\treturn f"{x!r:>8}"  # 0x7F\n\n\n'
    "if __name__ == '__main__':\n    print(f(1_000_000))\n",
    "C++": "#include <vector>\r\nint main() { std::vector<int> v{1, 22, 333, 4444}; return v[0] << 2 /* */; }\r\n",
    "white space": " \t \n\n   \n\t\t x     y\n \n  z   ",
    "emoji": "🚀 (normal) 😶\u200d🌫\ufe0f ✅ 🦙🦙 👩🏽\u200d🚀",
    "control characters": "a\x01b\x07c\x1bd\x7fe\u200bf\ufeffg\u2028h\x85i",
    "numbers": "3 33 333 3333 33333 3.3 3..3 ٣٤٥ ⅷ",
    "numbers behind white space": "x =  5\n\n1. one\n22 two\r\n333\t4444   55555",
    "camel case": "приветМир СССРовский ÉtatsUnis ΑθήναΕλλάδα iPhone HTTPServer ǅungla",
    "Georgian": "ვეპხის ტყაოსანი შოთა რუსთაველი",
    "Amharic": "ሰማይ አይታረስ ንጉሥ አይከሰስ።",
    "rare Chinese": "𠮷野家 㐀 𠀀𠀁",
    "keycaps": "1️⃣ 2⃣ a⃝",
    "white space in front": "   x",
}
#: What the library finds special tokens in, and llama.cpp only if it is asked to.
SPECIAL = "special tokens"
TEXTS: Mapping[str, str] = {**_OTHERS, **_MARKED, **_DECOMPOSED, SPECIAL: "<s>[INST] not special [/INST]</s>"}

MARKED = frozenset(_MARKED)
DECOMPOSED = frozenset(_DECOMPOSED)


def differ(one: Iterable[Sequence[int]], other: Iterable[Sequence[int]], names: Iterable[str] = TEXTS) -> set[str]:
    """The names of the texts whose token ids differ; both have one row a text."""
    return {name for name, ids, others in zip(names, one, other, strict=True) if list(ids) != list(others)}
