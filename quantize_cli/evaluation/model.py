"""The divergence of quantized models from their original, as one versioned value.

The JSON output is `Evaluation`, field by field (see docs/eval.md). `schema_version` grows by one whenever a field
changes its meaning or goes away.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantize_cli.texts.model import TextRecord

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Divergence:
    """Figures over the scored tokens of one kind of text, or of all; KLD is in nats a token."""

    tokens: int
    mean_kld: float
    mean_kld_error: float  #: standard error of the mean
    median_kld: float
    kld_99: float  #: 99 % of the tokens have at most this
    kld_99_9: float
    same_top: float  #: share of tokens for which both models hold the same token the likeliest
    same_top_error: float
    perplexity: float
    original_perplexity: float
    ln_ratio: float  #: ln(perplexity / original_perplexity)
    ln_ratio_error: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The KLD of one file less that of another, token by token, in nats a token."""

    mean: float  #: negative: the first is nearer to the original
    error: float  #: standard error of the mean


@dataclass(frozen=True, slots=True)
class FileEvaluation:
    """One quantized model."""

    file: str  #: its path as it was given
    format: str | None  #: what its metadata state
    bytes: int
    bits_per_weight: float
    all: Divergence
    by_kind: tuple[tuple[str, Divergence], ...]  #: in the order of the texts
    from_first: Difference | None = None  #: from the first file that was given; None for that file itself


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Several files against one original, on the same tokens."""

    schema_version: int
    generator: str
    original: str  #: path or Hub id, as it was given
    original_bytes: int  #: of its weights as they are stored
    architecture: str
    context: int  #: tokens of a sequence; the second half of each is scored
    device: str  #: "cpu", "cuda:0", "mps"
    dtype: str  #: what the model was computed in: "float32", "bfloat16"
    texts: tuple[TextRecord, ...]
    files: tuple[FileEvaluation, ...]  #: in the order in which they were given
    seconds: float
