"""Write the package's data files from a folder of facts about the reference.

    python tools/make_reference_data.py --reference DIR

DIR holds names.json, keys.json, defaults.json, f32_and_forced.json and pre_tokenizers.json. The same input always gives
the same bytes. Each entry stands on its own line, so that a difference between two releases can be read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

Json: TypeAlias = Any
Facts: TypeAlias = Mapping[str, Json]

PACKAGE = Path(__file__).resolve().parent.parent / "quantize_cli"

#: Release of llama.cpp that the facts describe. The facts name that of transformers themselves.
LLAMA_CPP = "0c1e570"

#: Keys that move `layer_types` although the facts list them as legacy keys alone.
UNSEEN_INPUTS = {"global_attn_every_n_layers"}

#: Model types of the same transformers that the facts lack.
UNSEEN_TYPES: Facts = {
    "unlimited_ocr": {
        "defaults": {"image_token_id": 128815, "tie_word_embeddings": False},
        "sub_configs": {"text_config": "unlimited_ocr_text"},
    },
    "unlimited_ocr_text": {
        "defaults": {
            "attention_bias": False,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "hidden_act": "silu",
            "hidden_size": 1280,
            "intermediate_size": 6848,
            "max_position_embeddings": 32768,
            "moe_intermediate_size": 896,
            "n_group": 1,
            "n_routed_experts": 64,
            "n_shared_experts": 2,
            "num_attention_heads": 10,
            "num_experts_per_tok": 6,
            "num_hidden_layers": 12,
            "num_key_value_heads": 10,
            "pad_token_id": None,
            "rms_norm_eps": 1e-06,
            "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
            "routed_scaling_factor": 1.0,
            "sliding_window": 128,
            "tie_word_embeddings": False,
            "topk_group": 1,
            "topk_method": "greedy",
            "vocab_size": 129280,
        },
        "attribute_map": {"num_experts": "n_routed_experts"},
        "derived": {"head_dim": {"formula": "hidden_size // num_attention_heads"}},
        "default_theta": 10000.0,
    },
}


def names(reference: Path) -> Facts:
    """Return the tensor kinds, their checkpoint names, and the kinds of each architecture.

    The first name of a kind is the GGUF one. Kinds without a name are left out. `winners` are the kinds that a pattern
    means wherever an architecture has them, although other kinds claim the pattern too.
    """
    facts = _read(reference / "names.json")
    named = {kind: entry for kind, entry in facts["kinds"].items() if entry["gguf"]}
    winners: dict[str, str] = {}
    for rows in facts["ambiguous"].values():
        for pattern, kind in rows.items():
            if winners.setdefault(pattern, kind) != kind:
                raise SystemExit(f"{pattern} does not mean the same kind everywhere.")
    return {
        "kinds": {kind: [entry["gguf"], *entry["patterns"]] for kind, entry in named.items()},
        "overrides": facts["overrides"],
        "winners": dict(sorted(winners.items())),
        "architectures": {
            architecture: " ".join(kind for kind in kinds if kind in named)
            for architecture, kinds in facts["architectures"].items()
        },
    }


def defaults(reference: Path) -> Facts:
    """Return what the classes of transformers fill into a config.json, by model type."""
    facts = _read(reference / "defaults.json")
    return {
        "config_as_it_stands": sorted(facts["raw_config_by_intent"]),
        "model_types": {
            name: _model_type(name, entry) for name, entry in {**facts["model_types"], **UNSEEN_TYPES}.items()
        },
    }


def _model_type(name: str, entry: Facts) -> Facts:
    derived = {
        key: {part: value for part, value in rule.items() if part != "from"} | _inputs(key, rule, entry)
        for key, rule in entry.get("derived", {}).items()
        if "formula" in rule or "cycle" in rule
    }
    kept = {
        "defaults": {key: value for key, value in entry["defaults"].items() if (key, value) != ("model_type", name)},
        "attribute_map": entry.get("attribute_map"),
        "sub_configs": entry.get("sub_configs"),
        "derived": derived,
        "default_theta": entry.get("default_theta") if "rope_parameters" in entry["defaults"] else None,
        "default_rope_type": entry.get("default_rope_type"),
    }
    return {part: value for part, value in kept.items() if value}


def _inputs(key: str, rule: Facts, entry: Facts) -> dict[str, Json]:
    if "formula" in rule:
        return {}
    inputs = {name for name in rule["from"] if name != "num_hidden_layers"}
    if key == "layer_types":
        inputs.update(UNSEEN_INPUTS & set(entry.get("legacy_keys", ())))
    return {"from": sorted(inputs)} if inputs else {}


def stored_types(reference: Path) -> Facts:
    """Return the tensors that the converter's own file always holds in F32, and those in F16 with ternary types."""
    facts = _read(reference / "f32_and_forced.json")
    return {"always_f32": facts["always_f32"], "f16_with_ternary_outtypes": facts["f16_with_ternary_outtypes"]}


def pre_tokenizers(reference: Path) -> Facts:
    """Return the pre-tokenizer that the hash of a tokenizer's output means, and what llama.cpp does with each name."""
    facts = _read(reference / "pre_tokenizers.json")
    return {
        "probe_sha256": facts["probe_sha256"],
        "hashes": {digest: entry["name"] for digest, entry in facts["hashes"].items()},
        "names": facts["names"],
        "fallback": facts["fallback"],
    }


def keys(reference: Path) -> Facts:
    """Return the value types of every metadata key that the converter writes, the first one being the usual one."""
    facts = _read(reference / "keys.json")
    return {"keys": {key: " ".join(entry["types"]) for key, entry in facts["keys"].items() if entry["types"]}}


#: Data file -> what makes it, and how many levels of objects have one entry a line.
FILES = {
    "architectures/data/names.json": (names, 2),
    "architectures/data/defaults.json": (defaults, 3),
    "architectures/data/stored_types.json": (stored_types, 3),
    "tokenizers/data/pre_tokenizers.json": (pre_tokenizers, 2),
    "gguf_file/data/keys.json": (keys, 2),
}


def files(reference: Path) -> dict[str, bytes]:
    """Return the content of every data file, by its path inside the package."""
    transformers = _read(reference / "defaults.json")["transformers"]
    source = {"source": f"llama.cpp {LLAMA_CPP}, transformers {transformers}; made by tools/make_reference_data.py"}
    return {
        path: (_lines({**source, **make(reference)}, levels) + "\n").encode() for path, (make, levels) in FILES.items()
    }


def _lines(value: Json, levels: int, indent: str = "") -> str:
    if not levels or not isinstance(value, dict) or not value:
        return json.dumps(value)
    inner = indent + " "
    rows = (f"{inner}{json.dumps(key)}: {_lines(item, levels - 1, inner)}" for key, item in value.items())
    return "{\n" + ",\n".join(rows) + "\n" + indent + "}"


def _read(path: Path) -> Facts:
    facts: Facts = json.loads(path.read_text(encoding="utf-8"))
    return facts


def main() -> None:
    """Write the files that changed and report each one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR", help="folder of the facts")
    for path, content in files(parser.parse_args().reference).items():
        target = PACKAGE / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
        print(f"{target.relative_to(PACKAGE.parent)}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
