"""Run the command as `python -m quantize_cli`."""

from __future__ import annotations

import sys

from quantize_cli.cli.start import main

if __name__ == "__main__":
    sys.exit(main())
