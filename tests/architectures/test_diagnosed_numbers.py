"""Numbers of config.json that contradict the tensors of hybrids and of models with MTP layers are named."""

from __future__ import annotations

import copy

import pytest
from architectures.broken import headers_of
from architectures.refusals import refuse
from golden.families.checkpoints import CASES

from quantize_cli.errors import CheckpointError


@pytest.mark.parametrize(
    ("case", "key", "value", "advice"),
    [
        ("Granite-4-H-small", "mamba_d_state", 128, "set mamba_d_state to 64"),
        ("Granite-4-H-small", "layer_types", ["attention", "mamba", "mamba"], "layers of another kind"),
        ("Nemotron-3-Super", "n_routed_experts", 8, "set n_routed_experts to 4"),
        ("Nemotron-3-Super", "moe_latent_size", 64, "set moe_latent_size to 128"),
        ("Nemotron-3-Super", "hybrid_override_pattern", "MEM*M", "layers of another kind"),
        ("Nemotron-3-Super", "num_nextn_predict_layers", 0, "set it to 1"),
        ("DeepSeek-V3.2-small", "index_n_heads", 8, "set index_n_heads to 4"),
    ],
)
def test_the_wrong_number_is_named(case, key, value, advice, make_checkpoint):
    record = copy.deepcopy(headers_of(CASES[case]))
    record["files"]["config.json"][key] = value
    refuse(make_checkpoint(**record), CheckpointError, advice)
