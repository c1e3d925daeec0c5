"""The ready vocabularies: one value for all families that share it."""

from __future__ import annotations

from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.fields import ADD_KEYS, ADD_SPACE_PREFIX, ID_KEYS
from quantize_cli.tokenizers.kinds.bpe import BPE as BYTE_LEVEL
from quantize_cli.tokenizers.kinds.llama_bpe import LLAMA_BPE
from quantize_cli.tokenizers.kinds.refused import HYBRID_DNA, TEKKEN
from quantize_cli.tokenizers.kinds.sentencepiece import SENTENCEPIECE
from quantize_cli.tokenizers.vocabulary import Extra, Vocabulary

#: tokenizer.json alone: most families, Qwen's mixtures of experts, DeepSeek 2 and 3 and Qwen 3.5 among them.
BPE = Vocabulary((BYTE_LEVEL,))

DEEPSEEK = BPE

QWEN2 = Vocabulary((SENTENCEPIECE, BYTE_LEVEL))

#: Llama, Mistral, Mixtral.
LLAMA = Vocabulary(
    (TEKKEN, HYBRID_DNA, SENTENCEPIECE, LLAMA_BPE, BYTE_LEVEL),
    (
        Extra(ADD_SPACE_PREFIX, ValueType.BOOL, setting="add_prefix_space", first=True),
        # CodeLlama: the end of infilling; the reference knows prefix, suffix and middle too, but does not write them
        Extra(ID_KEYS["eot"], ValueType.UINT32, role="eot", default=32010, vocab_size=32016),
        # Granite's and SmolLM's small models
        Extra(ADD_KEYS["bos"], ValueType.BOOL, default=False, vocab_size=49152),
    ),
)

#: Gemma 3; without a tokenizer.model, its tokenizer.json is read as any other.
GEMMA = Vocabulary(
    (SENTENCEPIECE, BYTE_LEVEL),
    (Extra(ADD_SPACE_PREFIX, ValueType.BOOL, default=False, kind=SENTENCEPIECE),),
)

#: Gemma 1 and 2.
GEMMA_SPM = GEMMA

MINICPM = Vocabulary((SENTENCEPIECE,))
BAICHUAN = MINICPM
PHI3 = Vocabulary((SENTENCEPIECE, BYTE_LEVEL))
PHIMOE = PHI3
INTERNLM2 = MINICPM
INTERNLM3 = MINICPM
ERNIE = MINICPM

MISTRAL3 = LLAMA
APERTUS = LLAMA
GRANITE = LLAMA

KIMI = BPE
KIMI_LINEAR = BPE
HUNYUAN_MOE = BPE
HUNYUAN_DENSE = BPE
