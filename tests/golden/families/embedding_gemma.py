"""EmbeddingGemma: Gemma 3 without a head, in the layout of sentence-transformers."""

from __future__ import annotations

import json
from dataclasses import replace

from golden.families.case import Case, Vocabulary
from golden.families.gemma3 import config, tensors
from golden.families.layouts import renamed
from golden.families.vocabularies import gemma_json, gemma_real

#: config.json with the keys of EmbeddingGemma 300M's on the Hub.
OWN = {
    "_sliding_window_pattern": 6,
    "architectures": ["Gemma3TextModel"],
    "eos_token_id": 1,
    "layer_types": [*["sliding_attention"] * 5, "full_attention"],
    "rope_local_base_freq": 10000.0,
    "rope_theta": 1000000.0,
    "sliding_window": 512,
    "use_bidirectional_attention": True,
}
MODULES = {
    "": "Transformer",
    "1_Pooling": "Pooling",
    "2_Dense": "Dense",
    "3_Dense": "Dense",
    "4_Normalize": "Normalize",
}
SENTENCE_TRANSFORMERS = {
    "modules.json": [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(MODULES.items())
    ],
    "1_Pooling/config.json": {
        "word_embedding_dimension": 256,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_lasttoken": False,
        "include_prompt": True,
    },
}


def pooled(vocabulary: Vocabulary) -> Vocabulary:
    """Return a vocabulary with the files of sentence-transformers beside it."""
    files = {name: json.dumps(content).encode() for name, content in SENTENCE_TRANSFORMERS.items()}
    return replace(vocabulary, files={**vocabulary.files, **files})


SMALL = {
    key: value
    for key, value in (config(6, 256, 256, 1984) | OWN).items()
    if key not in ("cache_implementation", "sliding_window_pattern")
}
ODD = SMALL | {
    "layer_types": ["sliding_attention"],
    "num_hidden_layers": 1,
    "vocab_size": 328,
    "hidden_size": 320,
    "intermediate_size": 352,
    "use_bidirectional_attention": False,
}
BASE = renamed(("model.", ""))

CASES = (
    Case("EmbeddingGemma-small", SMALL, tensors(SMALL, 1984), pooled(gemma_real()), layout=BASE),
    # Without the files of sentence-transformers, and with the names of a class that has a head.
    Case("EmbeddingGemma-odd-rows", ODD, tensors(ODD, 330), gemma_json(), dtype="float16", slow=True),
)
