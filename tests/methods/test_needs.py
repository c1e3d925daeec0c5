"""What a method takes, as a preview tells it; tests/calibrate/test_method.py compares the disk with a run's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibration_factory import CONTEXT, calibration_of, write
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint

from quantize_cli import plan, preview
from quantize_cli.methods.needs import ENGINE_BYTES, hessians_at_once, needs_of_method
from quantize_cli.methods.table import METHODS

FEW, MANY = 2, 10


def calibration(model, path, sequences):
    made = calibration_of(model, pre_tokenizer=PRE_TOKENIZER)
    return write(replace(made, tokens=np.zeros((sequences, CONTEXT), np.int32)), path)


def test_a_preview_counts_the_engine_the_hidden_states_and_the_blocks(llama, tmp_path):
    files = [calibration(llama, tmp_path / f"{count}.gguf", count) for count in (FEW, MANY)]
    usual = {"formats": "q4_0", "pre_tokenizer": PRE_TOKENIZER, "threads": 1}
    without = preview(llama, calibration=files[0], **usual).needs
    few, many = (preview(llama, calibration=file, method="gptq", **usual) for file in files)
    assert few.needs.memory_bytes - without.memory_bytes >= ENGINE_BYTES
    width = 256
    states = 2 * CONTEXT * width * 4
    blocks = sum(tensor.nbytes for tensor in few.plans[0].tensors)
    assert few.needs.disk_bytes == few.plans[0].file_bytes + blocks + FEW * states
    assert many.needs.disk_bytes - few.needs.disk_bytes == (MANY - FEW) * states
    assert many.needs.memory_bytes == few.needs.memory_bytes


def test_more_layers_take_no_more_memory_and_wider_ones_do(tmp_path):
    def memory(name, method="gptq", threads=2, **sizes):
        model = make_checkpoint(tmp_path / name, **sizes)
        made = replace(calibration_of(model, pre_tokenizer=PRE_TOKENIZER), tokens=np.zeros((FEW, CONTEXT), np.int32))
        planned = plan(model, "q4_0", pre_tokenizer=PRE_TOKENIZER)
        return needs_of_method(planned, METHODS[method], made, threads).memory_bytes

    wide = {"intermediate_size": 8192}
    two = memory("two", num_hidden_layers=2, **wide)
    assert memory("six", num_hidden_layers=6, **wide) == two
    assert memory("wider", num_hidden_layers=2, intermediate_size=8448) > two
    assert memory("threads", threads=3, num_hidden_layers=2, **wide) == two + 8192**2 * 4
    assert memory("folds", method="awq", num_hidden_layers=2, **wide) > two


@pytest.mark.parametrize(
    ("nbytes", "threads", "expected"),
    [(0, 16, 16), (1 << 20, 16, 16), (1 << 30, 16, 4), (3 << 30, 16, 2), (1 << 40, 16, 2), (1 << 40, 1, 1)],
)
def test_threads_do_not_hold_many_large_hessians(nbytes, threads, expected):
    assert hessians_at_once(nbytes, threads) == expected
