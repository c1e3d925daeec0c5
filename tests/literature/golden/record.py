"""Record what bitsandbytes makes of the matrix that test_literature.py makes; it needs torch and bitsandbytes.

python tests/literature/golden/record.py
"""

from __future__ import annotations

from pathlib import Path

import bitsandbytes.functional as bnb
import numpy as np
import torch

ROWS, COLUMNS, SEED = 16, 640, 11


def main() -> None:
    weights = np.random.default_rng(SEED).standard_t(5, (ROWS, COLUMNS)).astype(np.float32) * np.float32(0.02)
    source = torch.from_numpy(weights)
    packed, state = bnb.quantize_4bit(source, blocksize=64, compress_statistics=True, quant_type="nf4")
    levels, largest, _ = bnb.int8_vectorwise_quant(source.half())
    np.savez_compressed(
        Path(__file__).with_name("bitsandbytes.npz"),
        nf4=bnb.dequantize_4bit(packed, state).numpy(),
        dynamic_levels=bnb.create_dynamic_map().numpy(),
        int8_levels=levels.numpy(),
        int8_largest=largest.float().numpy(),
    )


if __name__ == "__main__":
    main()
