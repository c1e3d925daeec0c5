"""The ready vocabularies: one value for all families that share it."""

from __future__ import annotations

from quantize_cli.gguf_file.fields import ValueType
from quantize_cli.tokenizers.fields import ADD_KEYS, ADD_SPACE_PREFIX, ID_KEYS
from quantize_cli.tokenizers.kinds.bpe import BPE as BYTE_LEVEL
from quantize_cli.tokenizers.kinds.gemma4 import GEMMA4_BPE
from quantize_cli.tokenizers.kinds.internlm import INTERNLM2_PIECES, INTERNLM3_PIECES
from quantize_cli.tokenizers.kinds.llama_bpe import LLAMA_BPE
from quantize_cli.tokenizers.kinds.phi3 import PHI3_PIECES
from quantize_cli.tokenizers.kinds.refused import HYBRID_DNA
from quantize_cli.tokenizers.kinds.scored_bpe import SCORED_BPE, SCORED_PHI3
from quantize_cli.tokenizers.kinds.sentencepiece import SENTENCEPIECE
from quantize_cli.tokenizers.kinds.tekken import TEKKEN
from quantize_cli.tokenizers.kinds.tiktoken import HUNYUAN_RANKS, KIMI_RANKS
from quantize_cli.tokenizers.vocabulary import Extra, Vocabulary

#: tokenizer.json alone: most families, Qwen's mixtures of experts and Qwen 3.5 among them.
BPE = Vocabulary((BYTE_LEVEL,))

#: DeepSeek 2 and 3; Kimi K2 is one of them, and has ranks.
DEEPSEEK = Vocabulary((BYTE_LEVEL, KIMI_RANKS))
KIMI = DEEPSEEK

#: Kimi Linear, whose end is the tokenizer's, whatever config.json tells.
KIMI_LINEAR = Vocabulary(
    (BYTE_LEVEL, KIMI_RANKS), (Extra(ID_KEYS["eos"], ValueType.UINT32, token="eos_token", kind=KIMI_RANKS),)
)

QWEN2 = Vocabulary((SENTENCEPIECE, BYTE_LEVEL))

#: GLM-4 of 2025.
GLM4 = Vocabulary(
    (BYTE_LEVEL,),
    roles=(("eos", "<|endoftext|>"), ("eot", "<|user|>"), ("unk", "<|endoftext|>"), ("bos", "<|endoftext|>")),
)
#: GLM-4 of 2024.
CHATGLM = Vocabulary(
    (BYTE_LEVEL,), (Extra(ADD_KEYS["bos"], ValueType.BOOL, default=False, first=True),), roles=GLM4.roles[:3]
)
#: GLM-4.5 and later.
GLM = Vocabulary(
    (BYTE_LEVEL,),
    roles=(("bos", "[gMASK]"), ("eot", "<|user|>"), ("unk", "<|endoftext|>"), ("eom", "<|observation|>")),
)
SOLAR_OPEN = Vocabulary(
    (BYTE_LEVEL,),
    roles=(("eos", "<|endoftext|>"), ("eot", "<|endoftext|>"), ("unk", "<unk>"), ("bos", "<|startoftext|>")),
)
DOTS3 = Vocabulary((BYTE_LEVEL,), roles=(("eot", "<|endofassistant|>"),))

# The reference pads these to a multiple of 8 or 16 tokens, which is how many rows the weights have.
MAMBA = Vocabulary((BYTE_LEVEL, SENTENCEPIECE))
MAMBA2 = QWEN2
GRANITE_HYBRID = MAMBA2
NEMOTRON_H = BPE

#: Llama, Mistral, Mixtral, and what follows them: Mistral 3, Granite, Apertus.
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
MISTRAL3 = LLAMA
GRANITE = LLAMA
APERTUS = LLAMA

#: Mistral 4; the reference does not read it from tekken.json alone.
MISTRAL4 = Vocabulary((TEKKEN, BYTE_LEVEL))

#: Gemma 3; without a tokenizer.model, its tokenizer.json is read as any other.
GEMMA = Vocabulary(
    (SENTENCEPIECE, BYTE_LEVEL),
    (Extra(ADD_SPACE_PREFIX, ValueType.BOOL, default=False, kind=SENTENCEPIECE),),
)
GEMMA3N = GEMMA

_NO_SPACE = Extra(ADD_SPACE_PREFIX, ValueType.BOOL, default=False)
#: Gemma 1; the end is that of CodeGemma's infilling, and the reference writes it for all.
GEMMA1 = Vocabulary(
    (SENTENCEPIECE, SCORED_BPE), (Extra(ID_KEYS["eot"], ValueType.UINT32, role="eot", default=107), _NO_SPACE)
)
#: Gemma 2.
GEMMA_SPM = Vocabulary((SENTENCEPIECE, SCORED_BPE), (_NO_SPACE,))
GEMMA4 = Vocabulary((GEMMA4_BPE,), (_NO_SPACE, Extra(ADD_KEYS["bos"], ValueType.BOOL, default=True)))

JAMBA = Vocabulary(
    (SENTENCEPIECE, LLAMA_BPE), (Extra(ADD_SPACE_PREFIX, ValueType.BOOL, default=False, kind=LLAMA_BPE),)
)

MINICPM = Vocabulary((SENTENCEPIECE, SCORED_BPE))
BAICHUAN = MINICPM
#: Nemotron 3 and 4, whose SentencePiece model does not tell these two.
NEMOTRON = Vocabulary(
    (SENTENCEPIECE, SCORED_BPE),
    (Extra(ID_KEYS["pad"], ValueType.UINT32, default=0), Extra(ID_KEYS["unk"], ValueType.UINT32, default=1)),
)

ERNIE = Vocabulary((SENTENCEPIECE, SCORED_BPE), (Extra(ADD_SPACE_PREFIX, ValueType.BOOL, setting="add_prefix_space"),))

#: Phi-3 and PhiMoE; Phi-4 has byte-level BPE.
PHI3 = Vocabulary((PHI3_PIECES, SCORED_PHI3, BYTE_LEVEL))
PHIMOE = PHI3

_CHAT_END = Extra(ID_KEYS["eos"], ValueType.UINT32, token="<|im_end|>")
INTERNLM2 = Vocabulary((INTERNLM2_PIECES,), (_CHAT_END,))
INTERNLM3 = Vocabulary((INTERNLM3_PIECES,), (_CHAT_END,))

#: Hunyuan's mixtures of experts; config.json names another beginning.
HUNYUAN_MOE = Vocabulary(
    (HUNYUAN_RANKS, BYTE_LEVEL), (Extra(ID_KEYS["bos"], ValueType.UINT32, token="<|bos|>", kind=HUNYUAN_RANKS),)
)
#: Hunyuan's dense models; config.json of the one with 7 billion weights names another beginning.
HUNYUAN_DENSE = Vocabulary(
    (BYTE_LEVEL, HUNYUAN_RANKS),
    (
        Extra(ID_KEYS["bos"], ValueType.UINT32, token="<|startoftext|>", kind=HUNYUAN_RANKS, hidden_size=4096),
        Extra(ID_KEYS["eos"], ValueType.UINT32, number="eod_token_id"),
        Extra(ID_KEYS["eot"], ValueType.UINT32, listed="eos_token_id"),
    ),
)
