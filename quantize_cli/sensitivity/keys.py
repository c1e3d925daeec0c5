"""Names in a calibration's file: those of llama-imatrix, and those of our own.

The file is an importance matrix as tools/imatrix/imatrix.cpp writes it: `general.type` and three keys, and for each
tensor NAME, sorted, NAME.in_sum2 [experts, columns] and NAME.counts [experts, 1], F32. Its loader takes the tensors
that end so, and passes over all others. Behind them stand, F32 too, NAME.costs [types] for each tensor that was
measured, and blk.N.hidden_max and blk.N.hidden_mean_square [hidden] for each block. What methods round by is
NAME.token_weights [sequences, context] and NAME.output_factors [1 + rank, rows], F16, and NAME.hessian [columns,
columns], F32.
"""

from __future__ import annotations

GENERAL_TYPE, IMATRIX = "general.type", "imatrix"

SUMS, COUNTS, COSTS = ".in_sum2", ".counts", ".costs"
TOKEN_WEIGHTS, HESSIAN, OUTPUT_FACTORS = ".token_weights", ".hessian", ".output_factors"
LARGEST, MEAN_SQUARE = "blk.{}.hidden_max", "blk.{}.hidden_mean_square"

#: The version of the keys and tensors of our own.
VERSION = 1

_OURS = "quantize.calibration."
VERSION_KEY, ARCHITECTURE, CONFIG, SHAPES = (
    f"{_OURS}{name}" for name in ("version", "architecture", "model.config_sha256", "model.shapes_sha256")
)
#: GGML types, in the order of the values of NAME.costs; and the names of the tensors, in the order of the GGUF file.
TYPES, TENSORS = f"{_OURS}types", f"{_OURS}tensors"
#: For each kind of text its name, tokens, SHA-256 and number of documents; then the documents of all kinds.
KINDS, TOKENS, HASHES, DOCUMENT_COUNTS, DOCUMENTS = (
    f"{_OURS}texts.{name}" for name in ("kinds", "tokens", "sha256", "document_counts", "documents")
)

#: All token ids, one sequence after the other, and how many of the last sequences are held out.
TOKEN_IDS, HELD_OUT = f"{_OURS}token_ids", f"{_OURS}held_out"

#: What stands in NAME.costs for a type that was not measured.
NOT_MEASURED = -1.0
