"""Facts of a whole model that rules ask for."""

from __future__ import annotations

from dataclasses import dataclass

#: Architecture -> the number of layers by which the reference takes a model for a 70B (src/models/*.cpp, LLM_TYPE_70B).
_LAYERS_OF_A_70B = {"llama": 80, "llama-embed": 80, "qwen2": 80, "deci": 80, "olmo": 80, "jais2": 68}
#: Of these, a model without grouped-query attention is a 65B.
_GROUPED_IF_70B = frozenset({"llama", "llama-embed"})


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """The facts of a model that mixes depend on."""

    architecture: str  #: general.architecture
    layers: int  #: block_count, including layers that only predict further tokens
    query_groups: int = 1  #: attention heads per key-value head in the first layer; 0 where it has no attention
    experts: int = 0  #: expert_count
    is_70b: bool = False  #: the reference's LLM_TYPE_70B

    @classmethod
    def of(cls, architecture: str, layers: int, heads: int, kv_heads: int, experts: int = 0) -> ModelTraits:
        """Make the traits of a model with these hyperparameters; `heads` and `kv_heads` are the first layer's."""
        groups = heads // kv_heads if kv_heads else 0
        return cls(architecture, layers, groups, experts, is_70b(architecture, layers, heads, kv_heads))


def is_70b(architecture: str, layers: int, heads: int, kv_heads: int) -> bool:
    """Tell whether the reference treats the model as a 70B, whose attn_v deserves more bits.

    It never does so for a Llama with 8 experts; here the rules for 8 experts come first.
    """
    if layers != _LAYERS_OF_A_70B.get(architecture):
        return False
    return architecture not in _GROUPED_IF_70B or heads != kv_heads
