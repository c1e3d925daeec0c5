"""Tensors that several families have, by their names on the Hub."""

from __future__ import annotations

from golden.families.case import Tensor
from golden.families.weights import Fill

Tensors = dict[str, Tensor]


def attention(prefix: str, hidden: int, heads: int, kv_heads: int, head: int) -> Tensors:
    """Return the four projections of grouped-query attention."""
    return {
        f"{prefix}.q_proj.weight": Tensor((heads * head, hidden)),
        f"{prefix}.k_proj.weight": Tensor((kv_heads * head, hidden)),
        f"{prefix}.v_proj.weight": Tensor((kv_heads * head, hidden)),
        f"{prefix}.o_proj.weight": Tensor((hidden, heads * head)),
    }


def mlp(
    prefix: str, hidden: int, ffn: int, names: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")
) -> Tensors:
    """Return a gated feed-forward network, or one expert; `names` are gate, up, down."""
    gate, up, down = names
    return {
        f"{prefix}.{gate}.weight": Tensor((ffn, hidden)),
        f"{prefix}.{up}.weight": Tensor((ffn, hidden)),
        f"{prefix}.{down}.weight": Tensor((hidden, ffn)),
    }


def norms(fill: Fill, width: int, *names: str) -> Tensors:
    """Return norms of one width."""
    return {f"{name}.weight": Tensor((width,), fill) for name in names}


def ends(vocabulary: int, hidden: int, norm: Fill, tied: bool = False) -> Tensors:
    """Return the embedding, the last norm and, unless it is tied to the embedding, the head."""
    head = {} if tied else {"lm_head.weight": Tensor((vocabulary, hidden))}
    return {"model.embed_tokens.weight": Tensor((vocabulary, hidden)), **norms(norm, hidden, "model.norm"), **head}


def linear(name: str, rows: int, columns: int) -> Tensors:
    """Return one matrix."""
    return {f"{name}.weight": Tensor((rows, columns))}


def biased(tensors: Tensors, part: str = "") -> Tensors:
    """Add a bias to each tensor whose name has a part: as many values as the matrix has rows."""
    biases = {
        name.removesuffix("weight") + "bias": Tensor(tensor.shape[:1])
        for name, tensor in tensors.items()
        if part in name and name.endswith(".weight")
    }
    return {**tensors, **biases}
