"""Record where the reference's name map leads: PROVENANCE.md says how to run this.

Writes names.json. `digests`: for each architecture the SHA-256 over the lines "checkpoint name -> GGUF name" of a
model with two blocks, sorted, and their number. `samples`: for ten architectures, the first and the last checkpoint
name of each kind, in block 1. Kinds without a checkpoint name are left out: the map holds some of them under their GGUF
name, and others not at all.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, get_tensor_name_map
from gguf.tensor_mapping import TensorNameMap

LAYERS = 2
SAMPLES = ("llama", "qwen3moe", "qwen35", "gemma3n", "deepseek2", "falcon", "bert", "t5", "mamba2", "arctic")

#: A map changes the patterns of its class for good where an architecture has its own.
COMMON = TensorNameMap.block_mappings_cfg


def names(architecture: MODEL_ARCH) -> dict[str, str]:
    TensorNameMap.block_mappings_cfg = copy.deepcopy(COMMON)
    mapping = get_tensor_name_map(architecture, LAYERS)
    patterns = {**mapping.mappings_cfg, **mapping.block_mappings_cfg}
    return {name: gguf_name for name, (kind, gguf_name) in mapping.mapping.items() if patterns[kind]}


def sample(mapping: dict[str, str]) -> dict[str, str]:
    by_target: dict[str, list[str]] = {}
    for name, gguf_name in sorted(mapping.items()):
        if not gguf_name.startswith(("blk.0.", "dec.blk.0.", "enc.blk.0.")) and name != gguf_name:
            by_target.setdefault(gguf_name, []).append(name)
    return {name: to for to, found in sorted(by_target.items()) for name in (found[0], found[-1])}


def main() -> None:
    maps = {MODEL_ARCH_NAMES[architecture]: names(architecture) for architecture in MODEL_ARCH}
    digests = {}
    for architecture, mapping in sorted(maps.items()):
        lines = "".join(f"{name} -> {gguf_name}\n" for name, gguf_name in sorted(mapping.items()))
        digests[architecture] = {"names": len(mapping), "sha256": hashlib.sha256(lines.encode()).hexdigest()}
    digest_rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in digests.items())
    sample_rows = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(sample(maps[name]), indent=3)[:-1]}  }}" for name in SAMPLES
    )
    text = f'{{\n "digests": {{\n{digest_rows}\n }},\n "samples": {{\n{sample_rows}\n }}\n}}\n'
    (Path(__file__).parent / "names.json").write_text(text)


if __name__ == "__main__":
    main()
