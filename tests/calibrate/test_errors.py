"""What cannot be run or measured is told in one sentence, and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from engine import Engine
from golden.families.case import build
from golden.families.checkpoints import CASES
from prompt import EXAMPLE, TEXT, calibrated, copied, evaluated, left
from safetensors.numpy import load_file, save_file

from quantize_cli import quantize
from quantize_cli.calibrate import measuring
from quantize_cli.calibrate.memory import within_memory
from quantize_cli.calibrate.settings import settings_of
from quantize_cli.calibrate.skeleton import Skeleton
from quantize_cli.errors import CheckpointError, OutputError, QuantizeError, UnsupportedError, UsageError

WAY_OUT = "give an importance matrix from elsewhere with --imatrix, and a format."


def refused(kind: type[QuantizeError], act: Callable[[], object]) -> str:
    """Return the sentence of a refusal."""
    with pytest.raises(kind) as caught:
        act()
    sentence = str(caught.value)
    assert type(caught.value) is kind
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.fixture
def model(tmp_path):
    return copied(tmp_path / "model")


@pytest.fixture
def output(tmp_path):
    """A folder of its own, in which nothing may be left."""
    (tmp_path / "out").mkdir()
    yield tmp_path / "out" / "c.gguf"
    assert left(tmp_path / "out") == []


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    made = tmp_path_factory.mktemp("file") / "q8_0.gguf"
    quantize(EXAMPLE, "q8_0", made, threads=1)
    return made


def changed(model: Path, change: Callable[[dict], None]) -> None:
    """Change the weights of a copy of the example."""
    tensors = load_file(model / "model.safetensors")
    change(tensors)
    save_file(tensors, model / "model.safetensors")


def configured(model: Path, **values: object) -> None:
    """Change the config.json of a copy of the example."""
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, **values}))


def test_a_gguf_file_as_the_model(file, output):
    sentence = refused(UnsupportedError, lambda: calibrated(output, file))
    assert sentence.startswith(f"{file} is a GGUF file, and the engine needs the original model with its config.json")
    assert refused(UnsupportedError, lambda: evaluated(file, against=file)) == sentence


@pytest.mark.parametrize("device", ["cuda:7", "nothing", "meta", "\x1b[31m"])
def test_a_device_that_is_not_there(device, output):
    sentence = refused(UsageError, lambda: calibrated(output, device=device))
    assert sentence.startswith(f"Device {device!r} is not here (there is cpu")
    assert sentence.endswith("); choose one of these.")


def test_a_dtype_of_no_use(output):
    sentence = refused(UsageError, lambda: calibrated(output, dtype="f8"))
    assert sentence == "'f8' is not a dtype of the engine; choose f32 or bf16."


@pytest.mark.parametrize("context", [0, 1, 3])
def test_a_context_without_scored_tokens(context, output):
    sentence = refused(UsageError, lambda: calibrated(output, context=context))
    assert sentence == f"A context of {context} tokens does not leave any to score; take at least 4."


@pytest.mark.parametrize("case", ["InternLM2-small", "Ling-2"])
def test_an_architecture_that_transformers_lacks(case, tmp_path, output):
    folder = build(CASES[case], tmp_path)
    sentence = refused(UnsupportedError, lambda: calibrated(output, folder))
    assert "transformers cannot build the model that" in sentence
    assert sentence.endswith(WAY_OUT)


def test_an_architecture_that_nobody_knows(model, output):
    configured(model, architectures=["NobodysForCausalLM"], model_type="nobodys")
    assert "NobodysForCausalLM" in refused(UnsupportedError, lambda: calibrated(output, model))


def test_code_of_the_checkpoint_is_not_run(model, output, tmp_path):
    (model / "modeling_own.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\nclass Own: pass\n")
    configured(model, auto_map={"AutoModelForCausalLM": "modeling_own.Own", "AutoConfig": "modeling_own.Own"})
    expected = calibrated(tmp_path / "c.gguf", model)
    assert expected.startswith(b"GGUF")
    configured(model, model_type="own", architectures=["LlamaForCausalLM"])
    sentence = refused(UnsupportedError, lambda: calibrated(output, model))
    assert "transformers cannot build the model that" in sentence
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "values",
    [
        {"num_hidden_layers": 10**9},
        {"hidden_size": 2**40},
        {"vocab_size": 2**40},
        {"intermediate_size": 2**40},
        {"num_attention_heads": 2**40},
    ],
    ids=str,
)
def test_sizes_that_the_tensors_do_not_have(values, model, output):
    """They are refused by the plan, before transformers allocates or loops."""
    configured(model, **values)
    with pytest.raises(QuantizeError):
        calibrated(output, model)


@pytest.mark.parametrize("values", [{"max_position_embeddings": 2**31}, {"rope_theta": 1e30}], ids=str)
def test_large_numbers_that_need_no_memory(values, model, tmp_path):
    configured(model, **values)
    assert calibrated(tmp_path / "c.gguf", model).startswith(b"GGUF")


def test_a_tensor_that_transformers_needs(model, output):
    """The plan knows what is missing first; without it, the engine does."""
    changed(model, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
    assert "blk.1.ffn_up.weight" in refused(CheckpointError, lambda: calibrated(output, model))
    engine = Engine(model)
    sentence = refused(CheckpointError, lambda: engine.skeleton.load(1, engine.weights))
    assert sentence == (
        f"{model} lacks what LlamaForCausalLM of transformers calls 'model.layers.1.mlp.up_proj.weight'; {WAY_OUT}"
    )
    engine.close()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_not_finite(value, model, output, file):
    def break_one(tensors):
        tensors["model.layers.2.mlp.down_proj.weight"][3, 5] = ml_dtypes.bfloat16(value)

    changed(model, break_one)
    expected = (
        "model.safetensors: tensor 'model.layers.2.mlp.down_proj.weight' holds NaN or infinite weights; "
        "take the original model again."
    )
    assert refused(CheckpointError, lambda: calibrated(output, model)) == expected
    assert refused(CheckpointError, lambda: evaluated(file, against=model)) == expected


def test_a_file_of_another_model(model, file, tmp_path):
    changed(model, lambda tensors: tensors.update({"lm_head.weight": tensors["model.embed_tokens.weight"] + 0}))
    configured(model, tie_word_embeddings=False)
    untied = tmp_path / "untied.gguf"
    quantize(model, "q8_0", untied, threads=1)
    sentence = refused(CheckpointError, lambda: evaluated(untied))
    assert sentence == f"{untied} is not made of {EXAMPLE}: it has 'output.weight'; give its original."
    sentence = refused(CheckpointError, lambda: evaluated(file, against=model))
    assert sentence == f"{file} is not made of {model}: it lacks output.weight; give its original."


def test_a_file_of_a_model_with_other_shapes(model, file):
    def narrow(tensors):
        for layer in range(4):
            prefix = f"model.layers.{layer}.mlp"
            for name in ("gate", "up"):
                tensors[f"{prefix}.{name}_proj.weight"] = tensors[f"{prefix}.{name}_proj.weight"][:512].copy()
            tensors[f"{prefix}.down_proj.weight"] = tensors[f"{prefix}.down_proj.weight"][:, :512].copy()

    changed(model, narrow)
    configured(model, intermediate_size=512)
    sentence = refused(CheckpointError, lambda: evaluated(file, against=model))
    assert sentence == (
        f"{file} is not made of {model}: tensor 'blk.0.ffn_down.weight' is [256, 768] there, and would be [256, 512]; "
        "give its original."
    )


def test_an_output_that_cannot_be_written_is_told_before_the_work(tmp_path, output, monkeypatch):
    monkeypatch.setattr("quantize_cli.calibrate.calibrate.opened_model", None)
    (tmp_path / "taken.gguf").write_text("x")
    assert "taken.gguf exists" in refused(OutputError, lambda: calibrated(tmp_path / "taken.gguf"))
    assert "does not exist" in refused(OutputError, lambda: calibrated(tmp_path / "nowhere" / "c.gguf"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes."
        ),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        MemoryError(),
    ],
    ids=["cpu", "mps", "cuda", "numpy"],
)
def test_missing_memory(error, tmp_path, file, monkeypatch):
    def fails(*_):
        raise error

    expected = (
        "There is not enough memory on cpu for the model and its texts; take --dtype bf16, a smaller --context or "
        "fewer --tokens."
    )
    with monkeypatch.context() as patch:
        patch.setattr("quantize_cli.calibrate.forward.through_block", fails)
        patch.setattr("quantize_cli.calibrate.divergence.through_block", fails)
        assert refused(QuantizeError, lambda: evaluated(file)) == expected
    monkeypatch.setattr(measuring._Measuring, "_backward", fails)
    sentence = refused(QuantizeError, lambda: calibrated(tmp_path / "c.gguf", dtype="bf16"))
    assert sentence == expected.replace("--dtype bf16, ", "")


def test_other_errors_of_torch_are_not_called_missing_memory():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), within_memory(settings_of(None, None)):
        torch.ones(2, 3) @ torch.ones(2, 3)


def test_memory_that_is_really_missing():
    sentence = refused(QuantizeError, _allocate)
    assert sentence.startswith("There is not enough memory on cpu")


def _allocate() -> None:
    with within_memory(settings_of(None, None)):
        torch.empty(2**60)


def prompt(*arguments: object, before: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, after some other code."""
    code = f"import sys\n{before}\nfrom quantize_cli.cli.start import main\nsys.exit(main())"
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (
            "sys.modules['torch'] = None",
            "This needs torch and transformers, and torch is not installed; install them with: pip install "
            "'quantize-cli[calibrate]'",
        ),
        (
            "import types; sys.modules['torch'] = types.ModuleType('torch'); sys.modules['transformers'] = None",
            "This needs torch and transformers, and transformers is not installed; install them with: pip install "
            "'quantize-cli[calibrate]'",
        ),
        (
            # As where a library of torch's own is missing.
            "import importlib.abc\n"
            "class Broken(importlib.abc.MetaPathFinder):\n"
            "    def find_spec(self, name, path, target=None):\n"
            "        if name == 'torch': raise ImportError('libtorch.so: cannot open shared object file')\n"
            "sys.meta_path.insert(0, Broken())",
            "torch is installed, but what this needs of it cannot be imported ('libtorch.so: cannot open shared object "
            "file'); install versions that go together with: pip install 'quantize-cli[calibrate]'",
        ),
        (
            # As with transformers 4.
            "import types; sys.modules['torch'] = types.ModuleType('torch'); "
            "old = sys.modules['transformers'] = types.ModuleType('transformers'); old.__path__ = []",
            'transformers is installed, but what this needs of it cannot be imported ("No module named '
            "'transformers.conversion_mapping'\"); install versions that go together with: pip install "
            "'quantize-cli[calibrate]'",
        ),
    ],
    ids=["no torch", "no transformers", "broken torch", "old transformers"],
)
def test_libraries_that_are_not_there(before, said, output, file):
    result = prompt("calibrate", EXAMPLE, "-o", output, "--text", TEXT, before=before)
    assert result.returncode == 2
    assert " ".join(result.stderr.split()).removeprefix("quantize: ") == said
    result = prompt("eval", file, "--against", EXAMPLE, before=before)
    assert result.returncode == 2
    assert " ".join(result.stderr.split()).removeprefix("quantize: ") == said


def test_the_skeleton_takes_no_memory_for_weights(model):
    """A model of 10^12 parameters would not fit."""
    engine = Engine(model)
    assert isinstance(engine.skeleton, Skeleton)
    assert all(parameter.is_meta for parameter in engine.skeleton.model.parameters())
    engine.close()
