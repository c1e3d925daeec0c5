"""Where torch and transformers are missing, every file of this folder is skipped, and told so."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

MISSING = [name for name in ("torch", "transformers") if find_spec(name) is None]

if not MISSING:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those that libraries give while they are imported are not ours
        import torch
        import transformers

    torch.set_num_threads(1)  # several workers run the tests
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


class _Skipped(pytest.Module):
    """A file that is not imported."""

    def collect(self):
        pytest.skip(f"{' and '.join(MISSING)}: not installed; run these tests with `make test-calibrate`")


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Import a file only where its imports are installed."""
    return _Skipped.from_parent(parent, path=module_path) if MISSING else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let libraries warn."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("default"))
