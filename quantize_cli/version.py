"""The one place where the version stands."""

from __future__ import annotations

__version__ = "0.1.0"
#: How files made by this package name their maker.
GENERATOR = f"quantize-cli {__version__}"
