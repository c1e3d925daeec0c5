"""Values that follow from others: sizes, and lists with one item a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import cycle, islice

from quantize_cli.architectures.config_classes.model_type import MAX_LAYERS, Filling
from quantize_cli.architectures.reference_data import Json

#: Keys that hold a period: every n-th layer is the special one of the cycle.
PERIODS = frozenset(
    {
        "full_attention_interval",
        "global_attn_every_n_layers",
        "no_rope_layer_interval",
        "sliding_window_pattern",
    }
)

#: Key that holds the number of layers before the first one with experts.
DENSE_LAYERS = "first_k_dense_replace"

#: Every formula of the data file.
FORMULAS: Mapping[str, Callable[[Filling], Json]] = {
    "ceil(hidden_size / 16)": lambda filling: -(-filling.whole("hidden_size") // 16),
    "expand * hidden_size": lambda filling: filling.whole("expand") * filling.whole("hidden_size"),
    "hidden_size // num_attention_heads": lambda filling: (
        filling.whole("hidden_size") // filling.positive("num_attention_heads")
    ),
    "mamba_d_ssm // mamba_n_heads": lambda filling: filling.whole("mamba_d_ssm") // filling.positive("mamba_n_heads"),
    "num_attention_heads": lambda filling: filling.values.get("num_attention_heads"),
    "num_layers": lambda filling: filling.values.get("num_layers"),
    "qk_rope_head_dim": lambda filling: filling.values.get("qk_rope_head_dim"),
}


def fill_derived(filling: Filling) -> None:
    """Compute every derived value that config.json does not give.

    Raises:
        CheckpointError: The model would have more layers than any model has.
        ClassRefuses: The class cannot compute with a value.
    """
    for key, rule in filling.kind.derived.items():
        if filling.values.get(key) is None:
            formula = rule.get("formula")
            filling.values[key] = _layer_list(rule, filling) if formula is None else FORMULAS[formula](filling)


def _layer_list(rule: Mapping[str, Json], filling: Filling) -> list[Json]:
    """Return `first`, then `cycle` over and over, with `last` in the last place."""
    layers, items, first = filling.layers(), rule["cycle"], rule.get("first", [])
    for key in rule.get("from", ()):
        if key in PERIODS and key in filling.values:
            items = _with_period(items, min(filling.positive(key), MAX_LAYERS + 1))
        elif key == DENSE_LAYERS and key in filling.values and items[0] == "sparse":
            first = ["dense"] * min(filling.whole(key), MAX_LAYERS)
    made = [*first, *islice(cycle(items), max(layers - len(first), 0))][: max(layers, 0)]
    if made and "last" in rule:
        made[-1] = rule["last"]
    return made


def _with_period(items: list[Json], period: int) -> list[Json]:
    special_first = items[0] != items[1]
    others = [items[1]] * (period - 1)
    return [items[0], *others] if special_first else [*others, items[-1]]
