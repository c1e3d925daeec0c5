"""Record the general.* metadata and the pooling types that the reference writes: recorded.jsonl, a line for each case.

    PYTHONPATH=LLAMA_CPP:LLAMA_CPP/gguf-py python record.py

LLAMA_CPP is the reference's source folder (see PROVENANCE.md). The converter's own `prepare_metadata` and
`_try_set_pooling_type` run on a model without weights.
"""

from __future__ import annotations

import json
import logging
import struct
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gguf
import numpy as np
import yaml
from cases import CARDS, EXPERTS, GENERATION, IDENTITIES, NAMES, POOLING  # type: ignore[import-not-found]
from conversion.base import ModelBase, TextModel

Case = dict[str, Any]

#: How the reference stops where it cannot use a file.
FAILURES = (ValueError, TypeError, AttributeError, NotImplementedError, struct.error, yaml.YAMLError)


def cases() -> dict[str, Case]:
    """Title -> name, files, tensors; what is left out has a default."""
    found: dict[str, Case] = {}
    for name, weights in NAMES:
        found[f"name {name} {weights}"] = {"name": name, "tensors": [["token_embd.weight", [weights]]]}
    for title, card in CARDS.items():
        found[f"card {title}"] = {"files": {"README.md": card}}
    for title, tensors in EXPERTS.items():
        found[f"experts {title}"] = {"name": "m", "tensors": tensors}
    for title, values in GENERATION.items():
        text = values if isinstance(values, str) else json.dumps(values)
        found[f"generation {title}"] = {"files": {"generation_config.json": text}}
    for path in IDENTITIES:
        found[f"identity {path}"] = {"files": {"config.json": json.dumps({"_name_or_path": path})}}
    for title, files in POOLING.items():
        found[f"pooling {title}"] = {"files": {name: json.dumps(value) for name, value in files.items()}}
    return found


def reference(folder: Path, tensors: list[Any]) -> list[Any]:
    """[key, type, value] of each key that the reference writes; raises what it raises."""
    writer = gguf.GGUFWriter(path=None, arch="llama")
    for name, shape in tensors:
        writer.add_tensor_info(name, shape, np.dtype(np.float32), 0)
    model = SimpleNamespace(
        gguf_writer=writer,
        metadata_override=None,
        dir_model=folder,
        dir_model_card=folder,
        model_name=None,
        remote_hf_model_id=None,
        ftype=gguf.LlamaFileType.MOSTLY_Q8_0,
        hparams={},
        _prec_a4={},
        set_gguf_parameters=lambda: None,
        set_type=lambda: ModelBase.set_type(model),  # type: ignore[has-type]
    )
    ModelBase.prepare_metadata(model, vocab_only=False)
    TextModel._try_set_pooling_type(model)
    fields = []
    for key, held in writer.kv_data[0].items():
        writer._pack_val(held.value, held.type, add_vtype=True)  # fails where the file could not be written
        if key not in ("general.architecture", "general.quantization_version"):
            value = float(np.float32(held.value)) if held.type.name == "FLOAT32" else held.value
            fields.append([key, held.type.name, value])
    return fields


def main() -> None:
    logging.disable()
    lines = []
    for title, case in cases().items():
        case = {"title": title, "name": "Tiny-1B", "files": {}, "tensors": [["token_embd.weight", [10**9]]], **case}
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / case["name"]
            folder.mkdir()
            for name, text in case["files"].items():
                path = folder / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(text.encode())
            try:
                case["fields"] = reference(folder, case["tensors"])
            except FAILURES as error:
                case["fails"] = type(error).__name__
        lines.append(json.dumps(case, ensure_ascii=True))
    (Path(__file__).parent / "recorded.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
