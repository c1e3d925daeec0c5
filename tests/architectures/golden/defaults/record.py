"""Record what the reference's converter sees of a config.json: PROVENANCE.md says how to run this.

    python record.py SHARED_CONFIGS

Writes loaded.json: for each configuration the values after `ModelBase.load_hparams`, those of the text model lying over
the top level. Of the keys, it holds those that config.json has and those that the package's data file lists for the
model types in it. A key without a value is listed as absent. Nested configurations are left out.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import transformers
from conversion.base import ModelBase

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[3] / "quantize_cli" / "architectures" / "data" / "defaults.json"
MODEL_TYPES = json.loads(DATA.read_text())["model_types"]

ROPE = {"rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor"}
#: Values that are not hyperparameters, or that only transformers uses.
LEFT_OUT = {"architectures", "auto_map", "dtype", "label2id", "torch_dtype", "transformers_version", "use_cache"}


def load(config: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        loaded = ModelBase.load_hparams(Path(folder), is_mistral_format=False)
    return {**loaded, **loaded.get("text_config", {})}


def text_type(config: dict[str, Any]) -> dict[str, Any]:
    """Return the data file's entry of the text model, the outer one if it has none."""
    entry = MODEL_TYPES.get(config.get("model_type"), {})
    for key in ("thinker_config", "text_config"):
        if key in entry.get("sub_configs", {}):
            return text_type({"model_type": entry["sub_configs"][key]} | (config.get(key) or {}))
    return entry


def keys(config: dict[str, Any]) -> set[str]:
    outer, text = MODEL_TYPES.get(config.get("model_type"), {}), text_type(config)
    listed = {key for entry in (outer, text) for part in ("defaults", "derived") for key in entry.get(part, {})}
    own = {key for part in (config, config.get("text_config"), config.get("llm_config")) for key in part or ()}
    nested = {key for key in own if isinstance(config.get(key), dict)} | set(outer.get("sub_configs", {}))
    public = {key for key in own - nested if not key.startswith("_")}
    return (listed | public | ROPE | {"id2label", "model_type"}) - LEFT_OUT


def record(config: dict[str, Any]) -> dict[str, Any]:
    loaded, wanted = load(config), sorted(keys(config))
    return {
        "values": {key: loaded[key] for key in wanted if key in loaded},
        "absent": [key for key in wanted if key not in loaded],
    }


def main() -> None:
    assert transformers.__version__ == "5.23.0", transformers.__version__
    configs = json.loads((HERE / "configs.json").read_text())
    real = {path.parent.name: json.loads(path.read_text()) for path in sorted(Path(sys.argv[1]).glob("*/config.json"))}
    lines = [f" {json.dumps(name)}: {json.dumps(record(config))}" for name, config in {**configs, **real}.items()]
    (HERE / "loaded.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
