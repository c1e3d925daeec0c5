"""Costs of types where nothing was measured of the model: a fixed table of roles, times one of types. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from quantize_cli.mixes.base import Candidate
from quantize_cli.mixes.roles import Role, role_of

#: What an error of the same relative size costs in all tensors of a role together, where that of ffn_up is 1: about
#: the geometric mean of what two small models showed (docs/budget.md). Other roles count 1 too.
_SHARE_OF_ROLE = {
    Role.OUTPUT: 4.0,
    Role.ATTN_V: 1.2,
    Role.ATTN_KV_B: 1.2,
    Role.ATTN_QKV: 1.7,
    Role.ATTN_OUTPUT: 0.4,
    Role.ATTN_Q: 0.25,
    Role.ATTN_K: 0.25,
    Role.FFN_GATE: 0.8,
    Role.FFN_DOWN: 2.0,
}

#: The sum of squared errors of each type as a share of the sum of squares, for 131,072 normally distributed weights,
#: without an importance matrix, or with one of ones for the types that need one.
_ERROR_OF_TYPE = {
    "BF16": 2.75e-06,
    "F16": 4.30e-08,
    "Q8_0": 2.87e-05,
    "Q6_K": 3.16e-04,
    "Q5_1": 1.44e-03,
    "Q5_K": 1.31e-03,
    "Q5_0": 1.83e-03,
    "Q4_1": 6.13e-03,
    "Q4_K": 5.12e-03,
    "Q4_0": 7.40e-03,
    "IQ4_NL": 5.81e-03,
    "NVFP4": 1.07e-02,
    "IQ4_XS": 5.90e-03,
    "MXFP4": 1.31e-02,
    "Q3_K": 2.28e-02,
    "IQ3_S": 2.77e-02,
    "IQ3_XXS": 4.55e-02,
    "Q2_K": 8.82e-02,
    "IQ2_S": 7.04e-02,
    "IQ2_XS": 9.00e-02,
    "Q2_0": 5.17e-01,
    "TQ2_0": 6.54e-01,
    "IQ2_XXS": 1.18e-01,
    "IQ1_M": 3.39e-01,
    "TQ1_0": 6.54e-01,
    "IQ1_S": 2.36e-01,
    "Q1_0": 3.61e-01,
}


def usual_costs(candidates: Sequence[Candidate]) -> dict[str, Mapping[str, float]]:
    """Return costs that do not know the model: each role has a fixed share, and each type a fixed error.

    The unit is arbitrary; costs of tensors of one model compare. A token embedding that is the output matrix too counts
    as that one.

    Args:
        candidates: All tensors of the model.

    Returns:
        Name of a tensor -> GGML type -> cost.
    """
    roles = {candidate.name: role_of(candidate.name) for candidate in candidates}
    if Role.OUTPUT not in roles.values():
        roles = {name: Role.OUTPUT if role is Role.TOKEN_EMBD else role for name, role in roles.items()}
    weights: Counter[Role] = Counter()
    for candidate in candidates:
        weights[roles[candidate.name]] += math.prod(candidate.shape)
    costs: dict[str, Mapping[str, float]] = {}
    for candidate in candidates:
        role = roles[candidate.name]
        share = _SHARE_OF_ROLE.get(role, 1.0) * math.prod(candidate.shape) / weights[role]
        costs[candidate.name] = {name: share * error for name, error in _ERROR_OF_TYPE.items()}
    return costs
