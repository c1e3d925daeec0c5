"""The divergence of files: none of a file without loss, and that of whole models of transformers otherwise."""

from __future__ import annotations

import json
from contextlib import closing

import gguf
import numpy as np
import pytest
import torch
from engine import FAMILIES, Engine, logits_of, written
from prompt import EXAMPLE, evaluated

from quantize_cli import quantize
from quantize_cli.calibrate.divergence import scored, scores
from quantize_cli.calibrate.weights import Quantized
from quantize_cli.checkpoints.gguf import GgufCheckpoint

#: GGUF names of the modules of a Llama.
NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
ENDS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
#: Numbers of heads in the example, whose files hold the halves of queries' and keys' heads row by row.
HEADS = {"attn_q": 4, "attn_k": 2}


def quantized(engine, name, output):
    quantize(engine.folder, name, output, pre_tokenizer=engine.pre_tokenizer, threads=1)
    return output


def compared(engine, files, tokens):
    opened = [GgufCheckpoint(file) for file in files]
    weights = [Quantized(file, engine.checkpoint, engine.plan.tensors) for file in opened]
    found = scores(engine.skeleton, engine.weights, weights, tokens, lambda *_: None)
    for file in opened:
        file.close()
    return found


def parameter(tensor):
    """Return a tensor of a Llama's file under transformers' name, as another reader dequantizes it."""
    values = gguf.dequantize(tensor.data, tensor.tensor_type).copy()
    stem = tensor.name.removesuffix(".weight")
    if stem in ENDS:
        return f"{ENDS[stem]}.weight", torch.from_numpy(values)
    _, number, last = stem.split(".")
    if last in HEADS:
        values = values.reshape(HEADS[last], -1, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
    return f"model.layers.{number}.{NAMES[last]}.weight", torch.from_numpy(values)


def of_probabilities(original, other, tokens):
    """Return KLD, equal tops and -ln q, by the formulas in float64, each [sequences, scored]."""
    where = slice(tokens.shape[1] // 2, tokens.shape[1] - 1)
    first, second = (held.double().log_softmax(-1)[:, where].numpy() for held in (original, other))
    following = tokens.numpy()[:, 1:][:, where]
    kld = (np.exp(first) * (first - second)).sum(-1)
    nll = -np.take_along_axis(second, following[..., None], -1)[..., 0]
    return kld, first.argmax(-1) == second.argmax(-1), nll


@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_without_loss_has_no_divergence(family, tmp_path):
    with closing(Engine(*written(family, tmp_path))) as engine:
        tokens = engine.tokens(3, 9)
        (found,) = compared(engine, [quantized(engine, "f32", tmp_path / "x.gguf")], tokens)
    assert found.kld.shape == (3, 4)
    assert np.abs(found.kld).max() < 1e-6
    assert found.same_top.all()
    assert np.allclose(found.nll, found.original_nll, atol=1e-3)  # 1 is added to Gemma's norms, which costs last bits


def test_a_files_divergence_is_that_of_its_dequantized_weights(tmp_path):
    """In transformers' own whole model."""
    with closing(Engine(EXAMPLE)) as engine:
        files = [quantized(engine, name, tmp_path / f"{name}.gguf") for name in ("q4_0", "q2_k")]
        tokens = engine.tokens(3, 12)
        original = logits_of(engine.whole, tokens)
        for found, file in zip(compared(engine, files, tokens), files, strict=True):
            tensors = dict(map(parameter, gguf.GGUFReader(file).tensors))
            rest = engine.whole.load_state_dict(tensors, strict=False)
            assert rest.missing_keys == ["lm_head.weight"]  # which is the embedding
            assert not rest.unexpected_keys
            kld, same_top, nll = of_probabilities(original, logits_of(engine.whole, tokens), tokens)
            assert kld.mean() > 1e-3
            assert found.kld == pytest.approx(kld, rel=1e-3, abs=1e-6)
            assert np.array_equal(found.same_top, same_top)
            assert found.nll == pytest.approx(nll, abs=1e-4)


@pytest.mark.parametrize(("context", "positions"), [(4, [2]), (5, [2, 3]), (8, [4, 5, 6])])
def test_the_second_half_is_scored(context, positions):
    assert list(range(context))[scored(context)] == positions


def test_at_the_prompt(tmp_path):
    """More bits are closer, and two files are compared token by token."""
    files = [tmp_path / f"{name}.gguf" for name in ("f32", "q8_0", "q4_0")]
    for file in files:
        quantize(EXAMPLE, file.stem, file, threads=1)
    found = evaluated(*files)
    lossless, eight, four = found.files
    assert abs(lossless.all.mean_kld) < 1e-6
    assert lossless.all.mean_kld < eight.all.mean_kld < four.all.mean_kld < 1
    assert [file.format for file in found.files] == ["F32", "Q8_0", "Q4_0"]
    assert [file.bytes for file in found.files] == [path.stat().st_size for path in files]
    assert found.original_bytes == sum(
        np.prod(shape["shape"], dtype=int) * 2 for name, shape in header(EXAMPLE).items() if name != "__metadata__"
    )
    assert lossless.from_first is None
    assert four.from_first is not None
    rounded = evaluated(*files[:1], dtype="bf16")
    assert rounded.dtype == "bfloat16"
    assert rounded.files[0].all.mean_kld < 1e-6  # the original is rounded too


def header(model):
    content = (model / "model.safetensors").read_bytes()
    return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
