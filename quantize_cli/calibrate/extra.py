"""The extra `[calibrate]`, without which there is no engine."""

from __future__ import annotations

from importlib import import_module

from quantize_cli.errors import UsageError, shown

_INSTALL = "pip install 'quantize-cli[calibrate]'"


def check_extra() -> None:
    """Check that torch and transformers are installed, and work.

    Raises:
        UsageError: They are not, or do not.
    """
    for name, needed in (("torch", "torch"), ("transformers", "transformers.conversion_mapping")):
        try:
            import_module(name)
            import_module(needed)
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and error.name == name:
                raise UsageError(
                    f"This needs torch and transformers, and {name} is not installed; install them with: {_INSTALL}"
                ) from error
            first = str(error).partition("\n")[0]
            raise UsageError(
                f"{name} is installed, but what this needs of it cannot be imported ({shown(first)}); install versions "
                f"that go together with: {_INSTALL}"
            ) from error
    import_module("torch").use_deterministic_algorithms(True, warn_only=True)
