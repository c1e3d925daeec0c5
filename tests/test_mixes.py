"""The mixes' tables, what the engine says, and what may be asked for; `test_mix_rules` has their choices."""

from __future__ import annotations

import re
from itertools import pairwise
from math import prod

import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType
from hypothesis import given
from hypothesis import strategies as st
from mix_types.record import FORMATS as FILE_TYPES

from quantize_cli.blocks.table import BLOCK_TYPES
from quantize_cli.errors import CheckpointError, UsageError
from quantize_cli.gguf_file.types import WRITABLE_TYPES
from quantize_cli.mixes import other_names
from quantize_cli.mixes.base import Candidate
from quantize_cli.mixes.find import find_format
from quantize_cli.mixes.overrides import TypeOverrides, parse_tensor_type, read_tensor_type_file
from quantize_cli.mixes.rules import choose_types, requires_importance
from quantize_cli.mixes.tables import ALIASES, FORMATS
from quantize_cli.mixes.tensor_types import find_type
from quantize_cli.mixes.traits import ModelTraits, is_70b

LLAMA = ModelTraits.of("llama", 32, 32, 8)


def llama_3_8b():
    shapes = {"attn_k": (1024, 4096), "attn_output": (4096, 4096), "attn_q": (4096, 4096), "attn_v": (1024, 4096)}
    shapes |= {"ffn_down": (4096, 14336), "ffn_gate": (14336, 4096), "ffn_up": (14336, 4096)}
    yield from (Candidate(name, (128256, 4096)) for name in ("output.weight", "token_embd.weight"))
    yield from (Candidate(f"blk.{i}.{kind}.weight", shape) for i in range(32) for kind, shape in shapes.items())


def test_mixes_have_the_references_numbers():
    assert {mix.name: mix.file_type for mix in FORMATS.values()} == FILE_TYPES
    packages = {file_type.name.split("_", 1)[-1]: int(file_type) for file_type in LlamaFileType}
    assert FORMATS.keys() - packages.keys() <= {"Q1_0", "Q2_0"}, "the newest, which not every version knows"
    for name in FORMATS.keys() & packages.keys():
        assert FORMATS[name].file_type == packages[name]


@pytest.mark.parametrize(
    ("architecture", "layers", "kv_heads", "expected"),
    [
        ("llama", 80, 8, True),
        ("llama", 80, 64, False),
        ("llama", 79, 8, False),
        ("llama-embed", 80, 64, False),
        ("qwen2", 80, 64, True),
        ("deci", 80, 64, True),
        ("olmo", 80, 64, True),
        ("jais2", 68, 64, True),
        ("jais2", 80, 8, False),
        ("qwen3", 80, 8, False),
    ],
)
def test_which_models_are_a_70b(architecture, layers, kv_heads, expected):
    assert is_70b(architecture, layers, 64, kv_heads) is expected
    assert ModelTraits.of(architecture, layers, 64, kv_heads).is_70b is expected


# The tables.


def test_block_sizes_are_those_of_gguf_and_of_the_block_types():
    sizes = {held.name: GGML_QUANT_SIZES[held][0] for held in GGMLQuantizationType}
    expected = {**sizes, "Q2_0": 64, "Q1_0": 128}  # the newest, which not every version knows
    assert {name: held.block_size for name, held in WRITABLE_TYPES.items()} == {
        name: expected[name] for name in WRITABLE_TYPES
    }
    assert {name: held.block_size for name, held in BLOCK_TYPES.items()} == {
        name: expected[name] for name in BLOCK_TYPES
    }


def bits(name):
    if name == "Q2_0":
        return 2.25
    weights, nbytes = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    return 8 * nbytes / weights


def test_mixes_and_types_are_listed_from_most_bits_to_fewest():
    assert [bits(name) for name in WRITABLE_TYPES] == sorted(map(bits, WRITABLE_TYPES), reverse=True)
    candidates = list(llama_3_8b())
    sizes = {}
    for mix in FORMATS.values():
        types = [choice.type for choice in choose_types(candidates, mix, LLAMA)]
        sizes[mix.name] = sum(prod(c.shape) * bits(name) for c, name in zip(candidates, types, strict=True)) / 8
    # llama-quantize prints these, in GiB.
    printed = {"Q4_0": 4.34, "Q4_1": 4.78, "Q5_1": 5.65, "Q3_K_M": 3.74, "Q4_K_M": 4.58, "Q5_K_M": 5.33, "Q8_0": 7.96}
    assert {name: round(sizes[name] / 2**30, 1) for name in printed} == pytest.approx(printed, abs=0.06)
    del sizes["MXFP4_MOE"]
    assert all(bigger >= smaller for bigger, smaller in pairwise(sizes.values()))


def test_a_mix_says_what_it_is_good_for_and_whether_it_needs_an_importance_matrix():
    candidates = list(llama_3_8b())
    assert len({mix.good_for for mix in FORMATS.values()}) == len(FORMATS)
    for mix in FORMATS.values():
        assert re.fullmatch(r"[A-Z0-9][^\n]{20,100}\.", mix.good_for)
        needed = any(choice.requires_importance for choice in choose_types(candidates, mix, LLAMA))
        assert ("; needs an importance matrix" in mix.good_for) == needed, mix.name


def test_what_needs_an_importance_matrix():
    assert requires_importance("blk.0.attn_q.weight", "IQ2_XS", FORMATS["Q4_K_M"])
    assert requires_importance("blk.0.attn_q.weight", "Q2_K", FORMATS["Q2_K_S"])
    assert not requires_importance("blk.0.attn_q.weight", "Q2_K", FORMATS["Q2_K"])
    assert not requires_importance("blk.0.attn_q.weight", "IQ3_S", FORMATS["IQ3_S"])
    for name in ("output.weight", "token_embd.weight", "per_layer_token_embd.weight"):
        assert not requires_importance(name, "IQ1_S", FORMATS["IQ1_S"])


# What the engine says.


def test_a_kept_tensor_keeps_the_type_it_is_stored_in_and_needs_nothing():
    norm = Candidate("blk.0.attn_norm.weight", (1, 256), "IQ1_S")
    router = Candidate("blk.0.ffn_gate_inp.weight", (8, 256), "BF16")
    for mix in FORMATS.values():
        kept = choose_types([norm, router], mix, ModelTraits.of("llama", 1, 8, 8, experts=8))
        assert [(choice.type, choice.requires_importance) for choice in kept] == [("IQ1_S", False), ("BF16", False)]


def test_a_model_of_no_tensors_has_no_types():
    assert choose_types([], FORMATS["Q4_K_M"], LLAMA) == []


@pytest.mark.parametrize("name", ["blk.2.ffn_down.weight", "ffn_up.weight", "blk.x.ffn_gate_exps.weight"])
def test_among_experts_a_name_must_tell_the_layer(name):
    model = ModelTraits.of("llama", 2, 8, 8, experts=8)
    with pytest.raises(CheckpointError, match=re.escape(name)):
        choose_types([Candidate(name, (256, 256))], FORMATS["Q4_K_M"], model)
    assert choose_types([Candidate(name, (256, 256))], FORMATS["Q4_K_M"], ModelTraits.of("llama", 2, 8, 8))


@pytest.mark.parametrize(
    ("overrides", "tensor"),
    [(TypeOverrides(output_tensor_type="Q4_K"), "output"), (TypeOverrides(token_embedding_type="NVFP4"), "token_embd")],
)
def test_a_type_asked_for_by_role_must_fit(overrides, tensor):
    candidates = [Candidate(f"{name}.weight", (10, 160)) for name in ("output", "token_embd")]
    with pytest.raises(UsageError, match=rf"^{tensor}\.weight has rows of 160 .*choose another type"):
        choose_types(candidates, FORMATS["Q8_0"], LLAMA, overrides)


# What can be asked for.


def test_mixes_are_found_in_any_case_and_by_alias():
    assert (
        [find_format(name.lower()) for name in FORMATS]
        == [find_format(name) for name in FORMATS]
        == list(FORMATS.values())
    )
    assert {alias: find_format(alias.lower()).name for alias in ALIASES} == ALIASES
    assert not ALIASES.keys() & FORMATS.keys()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "`quantize formats` lists all"),
        ("None", "`quantize formats` lists all"),
        ("q4_k_m ", "write q4_k_m"),
        ("Q4 K M", "write q4_k_m"),
        ("q4", "for 4 bits a weight, choose q4_k_m"),
        ("15", "llama-quantize has this number for q4_k_m; write q4_k_m"),
        ("q3_k_n", "the nearest names are q3_k, q3_k_s, q3_k_m"),
    ],
)
def test_an_unknown_format_is_told_with_what_is_meant(name, said):
    with pytest.raises(UsageError) as error:
        find_format(name)
    assert str(error.value) == f"Unknown format {name!r}; {said}."


def test_all_that_people_say_leads_to_a_format_and_a_type():
    """Every word of the table, and every number of llama-quantize, which a number of bits may be as well."""
    assert len(other_names._SAID) > 60
    for word in [*other_names._SAID, *(str(mix.file_type) for mix in FORMATS.values())]:
        assert word not in FORMATS
        answer = other_names.unknown_format(word)
        names = {name.upper() for name in re.findall(r"[a-z0-9_]+", answer.partition(";")[2])}
        assert names & FORMATS.keys(), answer
        assert "{}" not in answer
    for word in other_names._SAID:
        if word not in WRITABLE_TYPES:
            names = {
                name.upper() for name in re.findall(r"[a-z0-9_]+", other_names.unknown_type(word).partition(";")[2])
            }
            assert names & WRITABLE_TYPES.keys(), word


def test_types_are_found_in_any_case():
    assert {find_type(name.lower()) for name in WRITABLE_TYPES} == {find_type(name) for name in WRITABLE_TYPES}
    for name in ("", "q4_k_m", "Q8_1", "I32", "q8_0 "):
        with pytest.raises(UsageError, match="Unknown type"):
            find_type(name)


@pytest.mark.parametrize(
    ("text", "pattern", "type_name"),
    [
        ("attn_v=q8_0", "attn_v", "Q8_0"),
        ("ATTN_V=Q8_0", "attn_v", "Q8_0"),
        (r"blk\.(1|2)\.FFN_.*=iq4_xs", r"blk\.(1|2)\.ffn_.*", "IQ4_XS"),
        (r"\D=f16", r"\d", "F16"),
        ("É=bf16", "É", "BF16"),
    ],
)
def test_an_entry_is_an_expression_in_small_letters_and_a_type(text, pattern, type_name):
    compiled, found = parse_tensor_type(text)
    assert (compiled.pattern, found) == (pattern, type_name)


@pytest.mark.parametrize("text", ["", "=", "attn_v", "attn_v=", "=q8_0", "a=b=q8_0", "(=q8_0", "*=q8_0", "a=q9"])
def test_a_wrong_entry_is_told(text):
    with pytest.raises(UsageError):
        parse_tensor_type(text)


@given(st.text())
def test_any_text_is_an_entry_or_a_usage_error(text):
    for entry in (text, f"{text}=q8_0"):
        try:
            pattern, type_name = parse_tensor_type(entry)
        except UsageError:
            continue
        assert type_name in WRITABLE_TYPES
        assert pattern.flags & re.ASCII


def test_a_file_of_entries_is_split_at_white_space(tmp_path):
    path = tmp_path / "types.txt"
    path.write_text("attn_v=q8_0  ffn_down=q6_k\n\n\ttoken_embd=Q5_K\n")
    found = [(pattern.pattern, name) for pattern, name in read_tensor_type_file(path)]
    assert found == [("attn_v", "Q8_0"), ("ffn_down", "Q6_K"), ("token_embd", "Q5_K")]
    path.write_text("\n")
    assert read_tensor_type_file(path) == ()


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"attn_v=q8_0 ffn_down", "ffn_down"), (b"a=q9", "a=q9"), (b"\xff\xfe=q8_0", "text"), (b"a" * 2**21, "larger")],
)
def test_a_bad_file_is_told_by_its_path_and_entry(content, told, tmp_path):
    path = tmp_path / "types.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=told) as error:
        read_tensor_type_file(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UsageError, match=re.escape(str(path))):
            read_tensor_type_file(path)
