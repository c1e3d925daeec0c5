"""Record what the reference converter writes for vocabularies of ranks: `PROVENANCE.md` says how to run it.

    make_rank_references.py LLAMA_CPP [CASE ...]

The converter runs code of a model's repository for some of them. Here a stand-in takes the place of that code, with
the attributes that the converter reads, and the converter takes its name of the pre-tokenizer as given.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tiktoken
from tiktoken.load import load_tiktoken_bpe

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]

from golden.record import record  # noqa: E402
from rank_cases import CASES, GOLDEN, Case  # noqa: E402
from texts import TEXTS  # noqa: E402

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
_START = r"[^\r\n\p{L}\p{N}]?"
PATTERNS = {
    "tiktoken.model": rf"[\p{{Han}}]+|{_START}{_UPPER}*{_LOWER}+{_CONTRACTIONS}?|{_START}{_UPPER}+{_LOWER}*"
    rf"{_CONTRACTIONS}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_REST}",
    "hy.tiktoken": rf"{_CONTRACTIONS}|{_START}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_REST}",
}
PRE = {"tiktoken.model": "kimi-k2", "hy.tiktoken": "hunyuan"}


def stand_in(folder: Path, file: str) -> SimpleNamespace:
    """A tokenizer as the repository's code would make it."""
    ranks = load_tiktoken_bpe(str(folder / file))
    base, settings = len(ranks), json.loads((folder / "tokenizer_config.json").read_text())
    if file == "hy.tiktoken":
        names = ["<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>"]
        names += [
            f"<|extra_{i}|>" for i in range(json.loads((folder / "config.json").read_text())["vocab_size"] - base - 5)
        ]
        special = {name: base + i for i, name in enumerate(names)}
        return SimpleNamespace(mergeable_ranks=ranks, special_tokens=special, vocab_size=base + len(special))
    declared = {int(i): entry["content"] for i, entry in settings["added_tokens_decoder"].items()}
    special = {declared.get(i, f"<|reserved_token_{i}|>"): i for i in range(base, base + 258)}
    model = tiktoken.Encoding("kimi", pat_str=PATTERNS[file], mergeable_ranks=ranks, special_tokens=special)
    return SimpleNamespace(model=model, special_tokens=special, eos_id=special[settings["eos_token"]])


def convert(llama_cpp: str, folder: str, output: str) -> None:
    """Run the converter in this process."""
    sys.path[:0] = [llama_cpp, f"{llama_cpp}/gguf-py"]
    sys.argv = ["convert_hf_to_gguf.py", folder, "--vocab-only", "--outfile", output]
    import convert_hf_to_gguf
    import transformers
    from conversion.base import TextModel

    file = next((name for name in PRE if Path(folder, name).exists()), None)
    if file is not None:

        def from_pretrained(_folder: Any, trust_remote_code: bool = False, **_options: Any) -> SimpleNamespace:
            if not trust_remote_code:
                raise ValueError("it has code")
            return stand_in(Path(folder), file)

        transformers.AutoTokenizer.from_pretrained = from_pretrained
        TextModel.get_vocab_base_pre = lambda _self, _tokenizer: PRE[file]
    convert_hf_to_gguf.main()


def ids(folder: Path) -> list[list[int]]:
    """The token ids of the texts by the library that the vocabulary was made for."""
    if (folder / "tokenizer.model").exists():
        from sentencepiece import SentencePieceProcessor

        processor = SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        return [processor.encode(text) for text in TEXTS.values()]
    if (folder / "tekken.json").exists():
        from mistral_common.tokens.tokenizers.tekken import Tekkenizer

        tekkenizer = Tekkenizer.from_file(folder / "tekken.json")
        return [tekkenizer.encode(text, bos=False, eos=False) for text in TEXTS.values()]
    file = next(name for name in PATTERNS if (folder / name).exists())
    ranks = load_tiktoken_bpe(str(folder / file))
    encoding = tiktoken.Encoding("ranks", pat_str=PATTERNS[file], mergeable_ranks=ranks, special_tokens={})
    return [encoding.encode(text) for text in TEXTS.values()]


def one(llama_cpp: str, case: Case) -> None:
    """Record one case."""
    with tempfile.TemporaryDirectory() as parent:
        folder, output = case.make(Path(parent)), Path(parent, "vocabulary.gguf")
        child = multiprocessing.get_context("spawn").Process(target=convert, args=(llama_cpp, str(folder), str(output)))
        child.start()
        child.join()
        kv = {key: value for key, value in record(output)["kv"].items() if key.startswith("tokenizer.")}
        lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in kv.items())
        rows = zip(TEXTS, ids(folder), strict=True)
        found = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows)
    (GOLDEN / f"{case.name}.json").write_text(f'{{"kv": {{\n{lines}}},\n "ids": {{\n{found}}}}}\n')


def main(llama_cpp: str, names: list[str]) -> None:
    for case in CASES:
        if not names or case.name in names:
            one(llama_cpp, case)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
