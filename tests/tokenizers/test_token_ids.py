"""Real tokenizers: llama.cpp makes the token ids that the library makes of every text, or all differences are named."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

import llama_tokenizer
import pytest
from sentencepiece import SentencePieceProcessor
from test_tokenizer_golden import SHARED
from texts import DECOMPOSED, SPECIAL, TEXTS, differ
from tokenizers import Tokenizer

from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.gguf_file.fields import ValueType, field
from quantize_cli.tokenizers.vocabularies import BPE, ERNIE, GEMMA, GEMMA4, GEMMA_SPM, LLAMA, MINICPM, PHI3
from quantize_cli.tokenizers.vocabulary import Vocabulary, read_vocabulary

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder shared/ beside the project")

FILES = ("tokenizer.json", "tokenizer_config.json", "added_tokens.json")
#: Some vocabularies have tokens like "</s>" that llama.cpp takes for special ones, and the library does not.
NAMES = [name for name in TEXTS if name != SPECIAL]


BYTE_LEVEL = field("tokenizer.ggml.model", ValueType.STRING, "gpt2")


@dataclass(frozen=True)
class Case:
    """A real tokenizer.json, and the texts that llama.cpp splits in another way than the library."""

    vocabulary: Vocabulary
    folder: str
    odd: Set[str] = frozenset()
    size: int | None = None
    pre_tokenizer: str | None = None
    slow: bool = False


#: The reference's name puts digits apart before white space, which Granite's tokenizer.json does not ask for.
REFACT = {"numbers", "numbers behind white space"}
#: A word ends at each letter with a mark, under the reference's name.
GPT_4O = {"Hindi", "Thai", "Bengali", "Tamil", "Khmer", "Burmese", "Tibetan", "Arabic with vowels"}
#: llama.cpp puts a space before every text, as SentencePiece does; this tokenizer.json only before one without it.
SPACE_IN_FRONT = {"white space", "white space in front"}
#: The same score for all tokens, as the reference writes it: llama.cpp joins the leftmost pieces first, not the usual.
CONSTANT = {"English", "French", "Python", "white space", "white space in front", "Vietnamese, decomposed"}

CASES = {
    "gpt2": Case(BPE, "gpt2"),
    "smollm2": Case(BPE, "smollm2"),
    # llama.cpp does not compose characters, as the normalizer NFC does
    "pythia": Case(BPE, "pythia-410m", DECOMPOSED),
    "qwen3": Case(BPE, "qwen3", DECOMPOSED, slow=True),
    "granite": Case(BPE, "granite-3.1-moe", REFACT),
    "granite as gpt-2": Case(BPE, "granite-3.1-moe", pre_tokenizer="gpt-2", slow=True),
    "llama3": Case(BPE, "llama3_1", slow=True),
    "deepseek": Case(BPE, "deepseek_v3", slow=True),
    "gptoss": Case(BPE, "gptoss", GPT_4O, slow=True),
    "gptoss as granite": Case(BPE, "gptoss", pre_tokenizer="granite-embed-multi-97m", slow=True),
    "gemma3": Case(GEMMA, "gemma3", slow=True),
    "gemma3 as gemma4": Case(GEMMA4, "gemma3", slow=True),
    "gemma3 as gemma2": Case(GEMMA_SPM, "gemma3", size=262208, slow=True),
    # tokenizer.json with the scores that its tokenizer.model would have
    "llama2 as minicpm": Case(MINICPM, "llama2", size=32000),
    "phi3": Case(PHI3, "phi3-mini", size=32064),
    "merlinite as minicpm": Case(MINICPM, "merlinite-7b-mistral-v0.1", size=32008, slow=True),
    "mistral as ernie": Case(ERNIE, "mistral-7b-v0.3", SPACE_IN_FRONT, 32768),
    # without that
    "llama2": Case(LLAMA, "llama2", CONSTANT, 32000),
    "merlinite": Case(LLAMA, "merlinite-7b-mistral-v0.1", {*CONSTANT, "C++"}, 32008, slow=True),
    "phi3 as llama": Case(LLAMA, "phi3-mini", {*CONSTANT, "C++"}, 32064, slow=True),
    "mistral": Case(LLAMA, "mistral-7b-v0.3", CONSTANT, 32768, slow=True),
}
PARAMETERS = [
    pytest.param(case, id=name, marks=[pytest.mark.slow] if case.slow else []) for name, case in CASES.items()
]


def with_special_tokens(library: Tokenizer) -> dict[str, str]:
    """Texts with the first and the last added tokens of a tokenizer."""
    added = [token.content for _, token in sorted(library.get_added_tokens_decoder().items())]
    tokens = dict.fromkeys([*added[:10], *added[-10:]])
    return {f"{token} in a text": f"{token}user\nHi there{token}\n x {token} y{token} 3" for token in tokens}


@pytest.mark.parametrize("case", PARAMETERS)
def test_ids_equal_the_librarys(case: Case, tmp_path: Path):
    folder = SHARED / "tokenizers" / case.folder
    for name in FILES:
        if (folder / name).exists():
            (tmp_path / name).symlink_to((folder / name).resolve())
    config = {} if case.size is None else {"vocab_size": case.size}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = read_vocabulary(case.vocabulary, FolderSidecars(tmp_path), config, case.pre_tokenizer)
    library = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = {name: TEXTS[name] for name in NAMES}
    if BYTE_LEVEL in found.fields:
        texts |= with_special_tokens(library)
        assert len(texts) > len(NAMES)
    expected = [library.encode(text, add_special_tokens=False).ids for text in texts.values()]
    ids = llama_tokenizer.token_ids(found.fields, texts.values(), tmp_path / "vocabulary.gguf", special=True)
    assert differ(ids, expected, texts) == case.odd


@pytest.mark.parametrize("path", ["llama2-spm/tokenizer.model", "mistral-7b-v0.3/tokenizer.model.v3"])
def test_ids_equal_sentencepieces(path: str, tmp_path: Path):
    source = SHARED / "tokenizers" / path
    (tmp_path / "tokenizer.model").write_bytes(source.read_bytes())
    found = read_vocabulary(LLAMA, FolderSidecars(tmp_path), {})
    library = SentencePieceProcessor(model_file=str(source))
    expected = [library.encode(text) for text in TEXTS.values()]
    assert not differ(llama_tokenizer.token_ids(found.fields, TEXTS.values(), tmp_path / "vocabulary.gguf"), expected)
