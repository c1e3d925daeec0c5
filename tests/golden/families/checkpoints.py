"""The checkpoints of the five families, and of dense models in other layouts, by name."""

from __future__ import annotations

from golden.families import deepseek, gemma3, mixtral, other_layouts, qwen3_5, qwen3_moe
from golden.families.case import Case

CASES: dict[str, Case] = {
    case.name: case
    for family in (mixtral, qwen3_moe, deepseek, gemma3, qwen3_5, other_layouts)
    for case in family.CASES
}
