"""Where and in which precision the engine computes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from quantize_cli.errors import UsageError, shown

#: What `--dtype` takes.
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Settings:
    """A device and the dtype of weights and activations there."""

    device: torch.device
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        """Torch's name of the dtype: "float32"."""
        return str(self.dtype).removeprefix("torch.")


def settings_of(device: str | None, dtype: str | None) -> Settings:
    """Find the device and the dtype; by default the CPU and float32.

    Raises:
        UsageError: There is no such device or dtype here.
    """
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"{shown(dtype)} is not a dtype of the engine; choose {' or '.join(DTYPES)}.")
    try:
        found = torch.device(device or "cpu")
        torch.ones(1, device=found).item()  # which torch's device without memory, "meta", cannot tell
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"Device {shown(device)} is not here ({_devices()}); choose one of these.") from error
    return Settings(found, DTYPES[dtype or "f32"])


def _devices() -> str:
    found = ["cpu"]
    found += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return "there is " + ", ".join(found)
