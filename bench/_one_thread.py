"""Makes NumPy's products use one thread: import this before NumPy, which reads the variables when it is imported."""

from __future__ import annotations

import os

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
