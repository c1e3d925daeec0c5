"""The extra `[calibrate]`, without which there is no engine."""

from __future__ import annotations

from quantize_cli.errors import UsageError


def check_extra() -> None:
    """Check that torch and transformers are installed.

    Raises:
        UsageError: They are not.
    """
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        missing = error.name or "one of them"
        raise UsageError(
            f"This needs torch and transformers, and {missing} is not installed; install them with: pip install "
            "'quantize-cli[calibrate]'"
        ) from error
    torch.use_deterministic_algorithms(True, warn_only=True)
