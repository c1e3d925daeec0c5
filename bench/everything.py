"""All benchmarks in one table: kernels, the whole command, first runs, memory. 45 minutes, 14 GB of disk.

python bench/everything.py --reference-python OTHER/bin/python
"""

from __future__ import annotations

import argparse
from itertools import chain

import cold_start
import kernels
import memory
import whole_command
from _table import show

from quantize_cli.blocks.table import BLOCK_TYPES


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    whole_command.add_arguments(parser)
    arguments = parser.parse_args()
    show(
        chain(
            kernels.rows(list(BLOCK_TYPES)),
            whole_command.rows(arguments),
            cold_start.rows(),
            memory.rows(work=arguments.work),
        )
    )


if __name__ == "__main__":
    main()
