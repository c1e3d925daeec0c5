"""What torch and NumPy raise where memory is missing, as a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from quantize_cli.calibrate.settings import Settings
from quantize_cli.errors import QuantizeError

#: Parts of what torch's allocators tell in a plain RuntimeError: those of the CPU and of Apple's GPUs.
_TOLD = ("can't allocate memory", "not enough memory", "out of memory")


@contextmanager
def within_memory(settings: Settings) -> Iterator[None]:
    """Turn the failure of an allocation in the block into a sentence.

    Raises:
        QuantizeError: There is not enough memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and not any(part in str(error).lower() for part in _TOLD):
            raise
        smaller = "--dtype bf16, " if settings.dtype is torch.float32 else ""
        raise QuantizeError(
            f"There is not enough memory on {settings.device} for the model and its texts; take {smaller}a smaller "
            "--context or fewer --tokens."
        ) from error
