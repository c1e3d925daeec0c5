"""Options that say what becomes of single tensors, layers and fields of the metadata."""

from __future__ import annotations

import re

import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from command_line import sentence
from gguf import GGUFReader
from gguf_factory import read_header
from imatrix_factory import squares, write_imatrix

PRE = ("--pre-tokenizer", PRE_TOKENIZER, "-t", "1")
Q4 = ("-f", "q4_k_m", *PRE)
OUTPUT = "tiny-llama-Q4_K_M.gguf"


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def types(path):
    """Name -> type of every matrix."""
    return {t.name: t.tensor_type.name for t in GGUFReader(path).tensors if len(t.shape) > 1}


def fields(path):
    return {held.key: held.value for held in read_header(path).fields}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (("--tensor-type", "attn_v=q8_0"), {"attn_v": "Q8_0"}),
        (
            ("--tensor-type", r"blk\.1\..*_v=Q8_0", "--tensor-type", "attn_v=f16"),
            {"0.attn_v": "F16", "1.attn_v": "Q8_0"},
        ),
        (("--tensor-type-file", "types.txt"), {"ffn_up": "Q5_K", "ffn_gate": "Q3_K"}),
        (("--tensor-type", "ffn_up=q6_k", "--tensor-type-file", "types.txt"), {"ffn_up": "Q6_K", "ffn_gate": "Q3_K"}),
        (("--output-tensor-type", "f16"), {"^output": "F16"}),
        (("--token-embedding-type", "q8_0"), {"token_embd": "Q8_0"}),
        (("--leave-output-tensor",), {"^output": "BF16"}),
        (("--pure",), {"": "Q4_K"}),
    ],
)
def test_tensors_get_the_types_that_are_asked_for(options, changed, quantize, llama, work):
    (work / "types.txt").write_text("ffn_up=q5_k\n\tffn_gate=Q3_K ")
    assert quantize(llama, *Q4, "-o", "usual.gguf").exit_code == 0
    result = quantize(llama, *Q4, *options)
    assert result.exit_code == 0, result.stderr
    expected = types(work / "usual.gguf")
    for name, usual in expected.items():
        expected[name] = next((kind for part, kind in changed.items() if re.search(part, name)), usual)
    assert types(work / OUTPUT) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tensor-type", "attn_v"), "'attn_v' is not of the form REGEX=TYPE; write it as in attn_v=q8_0"),
        (("--tensor-type", "=q8_0"), "not of the form REGEX=TYPE"),
        (("--tensor-type", "attn_(v=q8_0"), "is not a regular expression"),
        (("--tensor-type", "attn_v=q9"), "Unknown type 'q9'; choose one, for example q8_0, q6_k or q4_k"),
        (
            ("--tensor-type-file", "nowhere.txt"),
            r"nowhere.txt cannot be read \(No such file.*choose another file of types",
        ),
        (("--tensor-type-file", "bad.txt"), "In bad.txt, entry 'attn_v=': .*form REGEX=TYPE"),
        (("--output-tensor-type", "q4_k_m"), "Unknown type 'q4_k_m'"),
        (("--token-embedding-type", ""), "--token-embedding-type is empty"),
        (("--prune-layers", "0,1"), "All layers would be pruned; leave at least one"),
        (("--prune-layers", "one"), "'one' is not a list of layers; write it as in 3,7,8"),
        (("--prune-layers", "-1"), "'-1' is not a list of layers"),
        (("--prune-layers", ""), "--prune-layers is empty"),
        (("--override-kv", "key"), "'key' is not of the form KEY=TYPE:VALUE with TYPE one of int, float, bool, str"),
        (("--override-kv", "=int:1"), "not of the form"),
        (("--override-kv", "key=long:1"), "not of the form"),
        (
            ("--override-kv", "key=int:one"),
            "'key=int:one' cannot be set, because 'one' is not an integer of at most 32 bits",
        ),
        (("--override-kv", "key=int:4294967296"), "is not an integer of at most 32 bits"),
        (("--override-kv", "key=float:1e39"), "is not a number that 32 bits can hold"),
        (("--override-kv", "key=bool:yes"), "'yes' is not true or false; correct it"),
        (("--override-kv", f"key=str:{'x' * 128}"), "is not text of at most 127 bytes"),
    ],
)
def test_what_cannot_be_is_a_sentence(options, said, quantize, llama, work):
    (work / "bad.txt").write_text("ffn_up=q4_0 attn_v=")
    result = quantize(llama, *Q4, *options)
    assert result.exit_code == 2
    assert re.search(said, sentence(result.stderr))
    assert files(work) == ["bad.txt"]


def test_a_type_that_does_not_fit_what_it_is_asked_for(quantize, tmp_path, work):
    folder = make_checkpoint(
        tmp_path / "odd", hidden_size=96, num_attention_heads=1, num_key_value_heads=1, head_dim=96
    )
    result = quantize(folder, *Q4, "--token-embedding-type", "q4_k")
    assert result.exit_code == 2
    assert (
        "token_embd.weight has rows of 96 weights, which is not a multiple of 256, the block size of Q4_K"
        in sentence(result.stderr)
    )
    assert files(work) == []


# Layers.


def test_a_pruned_model_has_fewer_layers_and_numbers_them_anew(quantize, tmp_path, work):
    folder = make_checkpoint(tmp_path / "deep", num_hidden_layers=3)
    result = quantize(folder, "-f", "f16", *PRE, "--prune-layers", "1,7", "-o", "pruned.gguf")
    assert result.exit_code == 0
    assert "The model does not have layer 7, so it cannot be pruned." in " ".join(result.stderr.split())
    assert quantize(folder, "-f", "f16", *PRE, "-o", "whole.gguf").exit_code == 0
    assert fields(work / "pruned.gguf")["llama.block_count"] == 2
    whole, pruned = (
        {t.name: t.data.tobytes() for t in GGUFReader(work / f"{name}.gguf").tensors} for name in ("whole", "pruned")
    )
    assert len(pruned) == len(whole) - 9
    for name, data in pruned.items():
        assert data == whole[name.replace("blk.1.", "blk.2.")]


def test_a_pruned_models_importances_are_those_of_its_old_layers(quantize, tmp_path, work):
    folder = make_checkpoint(tmp_path / "deep", num_hidden_layers=2)
    imatrix = write_imatrix(work / "imatrix.gguf", {f"blk.{i}.ffn_up.weight": squares(256, i) for i in range(2)})
    options = ("-f", "q4_k_s", *PRE, "--imatrix", imatrix, "--tensor-type", "ffn_up=q4_k")
    assert quantize(folder, *options, "-o", "whole.gguf").exit_code == 0
    assert quantize(folder, *options, "-o", "pruned.gguf", "--prune-layers", "0").exit_code == 0
    whole, pruned = (
        {t.name: t.data.tobytes() for t in GGUFReader(work / f"{name}.gguf").tensors} for name in ("whole", "pruned")
    )
    assert pruned["blk.0.ffn_up.weight"] == whole["blk.1.ffn_up.weight"]


# Metadata.


def test_fields_are_set_whatever_the_source_says(quantize, llama, work):
    options = ("general.name=str:Mine", "tokenizer.ggml.bos_token_id=int:2", "own.flag=bool:true", "own.f=float:0.5")
    arguments = [word for option in options for word in ("--override-kv", option)]
    assert quantize(llama, *Q4, *arguments, "--no-provenance").exit_code == 0
    found = fields(work / OUTPUT)
    assert [(key, found[key]) for key in [*found][-4:]] == [
        ("general.name", "Mine"),
        ("tokenizer.ggml.bos_token_id", 2),
        ("own.flag", True),
        ("own.f", 0.5),
    ]


# Shapes that the blocks do not divide.


def test_fallbacks_can_be_refused(quantize, tmp_path, work):
    folder = make_checkpoint(tmp_path / "odd", intermediate_size=416, num_hidden_layers=1)
    assert quantize(folder, *Q4, "--report", "report.md").exit_code == 0
    before = files(work)
    warning = " ".join((work / "report.md").read_text().split("**Warning:**")[1].split("\n")[0].split())
    extra, share = re.search(r"([\d,]+) bytes \(([\d.]+%)\) larger", warning).groups()
    result = quantize(folder, *Q4, "--no-fallback", "--force")
    assert result.exit_code == 2
    said = sentence(result.stderr)
    assert "Q4_K_M does not fit 1 of 12 tensors (blk.0.ffn_down.weight)" in said
    assert f"{extra} bytes ({share}) larger" in said
    assert "leave out --no-fallback, or choose a format with blocks of 32" in said
    assert files(work) == before


def test_where_every_row_fits_there_is_nothing_to_refuse(quantize, llama, work):
    assert quantize(llama, *Q4, "--no-fallback").exit_code == 0
    assert files(work) == [OUTPUT]
