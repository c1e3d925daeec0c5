"""The place that metadata comes from, for messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quantize_cli.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Origin:
    """The place that metadata comes from, for messages."""

    where: str  #: config.json with its folder, or the GGUF file
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: key -> its names in config.json

    def refusal(self, key: str, finding: str) -> CheckpointError:
        """Return the error to raise for a value; `finding` is the value, and what llama.cpp wants."""
        names = self.names.get(key, ())
        made_of = f" (made of {' or '.join(names)})" if names else ""
        return CheckpointError(
            f"{self.where} leads to a file that llama.cpp does not load: {key}{made_of} is {finding}; correct the "
            "file, or take the model from another source."
        )
