"""Every family that both the converter and transformers know: the same logits, and weights that come back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from engine import Engine, logits_of, relative
from golden.families.case import Case, build
from golden.families.checkpoints import CASES

from quantize_cli.calibrate.backwards import arrays_of
from quantize_cli.errors import CheckpointError, UnsupportedError
from quantize_cli.run.rows import SourceRows

TOKENIZERS = Path(__file__).parents[3] / "shared" / "tokenizers"

#: Cases that the engine refuses: transformers lacks the class, or keeps it from models of text, or names tensors
#: otherwise; or blocks are unlike, or get more than a hidden state.
REFUSED = {
    "Ling-2",
    "GLM-5-Next",
    "ERNIE-4.5-fused",
    "Falcon-40b-old-config",
    "Gemma3n-small",
    "Gemma3n-text",
    "GLM-4.1V",
    "GLM-4.5V",
    "GLM-OCR",
    "GLM-4-2024",
    "GLM-4-2024-odd-rows",
    "gpt-oss-small",
    "Hunyuan-A13B",
    "Hunyuan-OCR",
    "InternLM2-small",
    "Jamba-small",
    "Kimi-VL",
    "DeepSeek-OCR",
    "Unlimited-OCR",
    "Youtu-VL",
    "SmolVLM",
    "Llama-embed-Nemotron",
    "Mamba-original",
    "MiniCPM-small",
    "MiniMax-M3",
    "MiniMax-M3-in-a-larger-model",
    "Llama-base-class",
    "Qwen2-base-class",
    "Qwen3-base-class",
    "PaddleOCR-VL",
    "PhiMoE",
    "dots.ocr-small",
    "KORMo-small",
    "Qwen2-VL-small",
    "Qwen2.5-VL-untied",
    "Qwen2.5-Omni-small",
    "Qwen3-VL-small",
    "Qwen3-VL-MoE-transposed",
    "Qwen3-Omni-small",
    "Qwen3-ASR-small",
    "Qwen4Exp-small",
    "Qwen4Exp-parts",
}
#: Cases whose whole model transformers does not load or run: larger models around the text, embeddings with more rows
#: than config.json tells, contexts shorter than a convolution.
NOT_COMPARED = {
    "EXAONE-4.5",
    "Gemma3-sentencepiece",
    "Granite-4-H-small",
    "Bamba-small",
    "Kimi-K2.5",
    "GLM-5-small",
    "Mistral-3-in-a-larger-model",
    "Pixtral",
    "Voxtral",
    "Mamba-small",
    "Falcon-Mamba-small",
    "Mamba2-small",
    "Qwen2-Audio-small",
    "Audio-Flamingo-3-small",
    "MiniCPM-V-4.6",
}
#: What computing in the checkpoint's dtype rounds, as the reference does: half a unit in the last place of BF16.
ROUNDED = 2.0**-8


def one_of_each_class() -> list[Case]:
    """Return the first case of each class of models."""
    found: dict[str, Case] = {}
    for case in CASES.values():
        if not case.vocabulary.shared and case.refusal is None:
            found.setdefault(case.config.get("architectures", ["?"])[0], case)
    return list(found.values())


def opened(case: Case, parent: Path) -> Engine:
    if case.vocabulary.shared and not TOKENIZERS.is_dir():
        pytest.skip("needs ../shared/tokenizers")
    return Engine(build(case, parent, TOKENIZERS), case.vocabulary.pre_tokenizer)


def compared() -> list[Case]:
    """Return the cases whose logits are compared."""
    return [case for case in one_of_each_class() if case.name not in REFUSED | NOT_COMPARED]


@pytest.mark.slow
@pytest.mark.parametrize("case", compared(), ids=lambda case: case.name)
def test_logits(case, tmp_path):
    with closing(opened(case, tmp_path)) as engine:
        tokens = engine.tokens(2, 12)
        assert relative(engine.streamed(tokens), logits_of(engine.whole, tokens)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refusals(name, tmp_path):
    with closing(opened(CASES[name], tmp_path)) as engine:
        with pytest.raises((UnsupportedError, CheckpointError)) as caught:
            engine.streamed(engine.tokens(2, 12))
        assert str(caught.value).endswith(".")


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES.values() if not case.requantize], ids=lambda case: case.name)
def test_weights_come_back(case, tmp_path):
    """Through the recipes and back, all that a file holds is what the checkpoint holds."""
    with closing(opened(case, tmp_path)) as engine:
        rows = SourceRows(engine.checkpoint)

        def read(tensor):
            step = tensor.rows_of_an_expert if tensor.maps else tensor.rows
            return np.concatenate([rows.rows(tensor, at, at + step).rows for at in range(0, tensor.rows, step)])

        tensors = [tensor for tensor in engine.plan.tensors if tensor.sources]
        computed = {
            name for tensor in tensors for name in tensor.sources if any(change.computes for change in tensor.maps)
        }
        arrays = arrays_of(tensors, read, engine.checkpoint.infos)
        assert set(arrays) == {name for tensor in tensors for name in tensor.sources}
        for name, found in arrays.items():
            expected = engine.weights.read([name])[name]
            here = ~np.isnan(found)
            assert here.any(), name
            error = relative(found[here], expected[here])
            assert error <= (ROUNDED if name in computed else 0), name
