"""general.* against what the reference recorded, against the package gguf on random input, and what is refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from quantize_cli.architectures.general import General, ParameterCounts, general_fields
from quantize_cli.architectures.pooling import pooling_type
from quantize_cli.checkpoints.sidecars import FolderSidecars
from quantize_cli.errors import QuantizeError
from quantize_cli.gguf_file.fields import Field, ValueType, field

RECORDED = (Path(__file__).parent / "golden" / "general" / "recorded.jsonl").read_text().splitlines()
CASES = {case["title"]: case for case in map(json.loads, RECORDED)}


def write(folder: Path, files: dict[str, str]) -> FolderSidecars:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode())
    return FolderSidecars(folder)


def plain(fields: tuple[Field, ...]) -> str:
    """Fields as the golden file spells them; text, because NaN differs from itself."""
    return json.dumps(
        [
            [
                field.key,
                field.type.name,
                float(np.float32(field.value)) if field.type is ValueType.FLOAT32 else field.value,
            ]
            for field in fields
        ]
    )


def general(sidecars: FolderSidecars, case: dict[str, Any]) -> General:
    counts = ParameterCounts.of((name, tuple(shape)) for name, shape in case["tensors"])
    config = json.loads(case["files"].get("config.json", "{}"))
    return general_fields(sidecars, case["name"], config, counts)


def described(sidecars: FolderSidecars, case: dict[str, Any]) -> tuple[Field, ...]:
    fields, pooling = general(sidecars, case).fields, pooling_type(sidecars)
    return fields if pooling is None else (*fields, field("llama.pooling_type", ValueType.UINT32, pooling))


def test_the_golden_file_is_whole():
    assert len(CASES) == len(RECORDED) > 250
    assert sum("fields" in case for case in CASES.values()) > 240
    assert sum("fails" in case for case in CASES.values()) > 10


@pytest.mark.parametrize("case", [case for case in CASES.values() if "fields" in case], ids=lambda case: case["title"])
def test_fields_equal_the_references(tmp_path, case):
    assert plain(described(write(tmp_path, case["files"]), case)) == json.dumps(case["fields"])


@pytest.mark.parametrize("case", [case for case in CASES.values() if "fails" in case], ids=lambda case: case["title"])
def test_where_the_reference_stops_a_sentence_tells_why(tmp_path, case):
    message = told(write(tmp_path, case["files"]), case)
    assert str(tmp_path / list(case["files"])[-1]) in message


def told(sidecars: FolderSidecars, case: dict[str, Any]) -> str:
    """The only note on a model, or the refusal of it."""
    try:
        (message,) = general(sidecars, case).notes
    except ValueError:
        with pytest.raises(QuantizeError) as caught:
            described(sidecars, case)
        message = str(caught.value)
    except QuantizeError as error:
        message = str(error)
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 700
    return message


#: What is wrong -> name, files, words of the message. The reference converts some of these, to no one's use.
LEFT_OUT = {
    "tags of numbers": ("m", {"README.md": "---\ntags: [1, 2]\n---\n"}, "general.tags is 1 instead of text"),
    "no, unquoted": ("m", {"README.md": "---\nlanguage: [no]\n---\n"}, "general.languages is False instead of text"),
    "a description of lists": ("m", {"README.md": "---\ndescription: [[[a]]]\n---\n"}, "general.description"),
    "truth for a number": ("m", {"generation_config.json": '{"top_k": true}'}, "general.sampling.top_k"),
    "bytes in the folder's name": ("m\udcff", {}, "'m\\udcff' is not Unicode text"),
    "a card in Latin-1": ("m", {"README.md": "\udcff"}, "README.md is not UTF-8"),
}


@pytest.mark.parametrize(("name", "files", "words"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_gguf_cannot_hold_is_told(tmp_path, name, files, words):
    for file, content in files.items():
        (tmp_path / file).write_bytes(content.encode(errors="surrogateescape"))
    case = {"name": name, "files": files, "tensors": []}
    assert words in told(FolderSidecars(tmp_path), case)


def test_the_rest_of_a_card_is_kept(tmp_path):
    sidecars = write(tmp_path, {"README.md": "---\nauthor: Ann\nversion: 1.0\ntags: [a]\n---\n"})
    made = general_fields(sidecars, "m", {}, ParameterCounts.of(()))
    assert {field.key: field.value for field in made.fields} == {
        "general.type": "model",
        "general.name": "M",
        "general.author": "Ann",
        "general.tags": ("a",),
    }
    assert len(made.notes) == 1


@pytest.mark.parametrize("path", [7, [1], {"a": 1}, True, "\ud800", "x" * 10**6, "a/b/c"])
def test_a_name_that_cannot_be_one_is_not_taken(tmp_path, path):
    made = general_fields(FolderSidecars(tmp_path), "m", {"_name_or_path": path}, ParameterCounts.of(()))
    assert [(field.key, field.value) for field in made.fields] == [("general.type", "model"), ("general.name", "M")]
    assert made.notes == ()


@pytest.mark.parametrize("content", ["[1]", '"text"', "null", "[" * 100_000, "9" * 5000])
def test_a_generation_config_that_is_no_object_says_nothing(tmp_path, content):
    sidecars = write(tmp_path, {"generation_config.json": content})
    keys = [field.key for field in general_fields(sidecars, "m", {}, ParameterCounts.of(())).fields]
    assert keys == ["general.type", "general.name"]


@pytest.mark.parametrize(
    ("tensors", "counts"),
    [
        ((), (0, 0, 0, 0)),
        ((("a", (3, 4)), ("b", ())), (13, 13, 0, 0)),
        ((("blk.0.ffn_up_exps.weight", (4, 2, 3)), ("a", (5,))), (29, 5, 6, 4)),
        ((("blk.0.ffn_up_exps.bias", (4, 2)),), (8, 8, 0, 0)),
        ((("blk.0.ffn_up_exps.weight", (0, 2, 3)),), (0, 0, 0, 0)),
    ],
)
def test_parameter_counts(tensors, counts):
    assert ParameterCounts.of(tensors) == ParameterCounts(*counts)


WORDS = """
    Llama Qwen3 deepseek gemma phi Mixtral mini small XL medium chat Instruct it base vision LoRA hf v2 V0.1 3.1 2407
    iter3 7B 7b 1.5B 1_5b 7b1 8x7B A3B 128k 4K 1M 270M 0.5T q4_k_m IQ2_XS F16 bf16 fp8 GGUF x c4 a.b 16E 100 R1
"""
TEXTS = """
    name model_name author model_author model_creator version organization finetune basename model_type
    description size_label url model_doi uuid repo_url license_name license_link quantized_by
"""
NAMES = st.one_of(
    st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=6).map("-".join),
    st.text(st.sampled_from("abkBMv0127._- xXé"), min_size=1, max_size=12),
)
IDS = st.one_of(NAMES, st.tuples(NAMES, NAMES).map("/".join), NAMES.map("https://huggingface.co/org/{}".format))
VALUES = st.one_of(st.none(), st.text("ab:-#' é\n", max_size=6), IDS, st.just(False), st.just(0))
SOURCES = st.one_of(
    VALUES, st.lists(st.one_of(IDS, st.none(), st.dictionaries(st.sampled_from(["name", "version", "doi", "x"]), IDS)))
)
LISTS = st.one_of(VALUES, st.lists(NAMES, max_size=3))
CARDS = st.dictionaries(
    st.sampled_from(TEXTS.split()),
    VALUES,
    max_size=5,
).flatmap(
    lambda texts: st.fixed_dictionaries(
        {key: st.just(value) for key, value in texts.items()},
        optional={
            **dict.fromkeys(("base_model", "base_models", "datasets", "dataset"), SOURCES),
            **dict.fromkeys(("tags", "pipeline_tag", "language", "languages", "license"), LISTS),
        },
    )
)
FOLDERS = NAMES.filter(lambda name: name.strip(".") != "")
COUNTS = st.one_of(st.integers(0, 2 * 10**12), st.sampled_from([0, 1_100_048_384, 8_030_261_248, 46_702_792_704]))


@given(name=FOLDERS, path=st.one_of(st.none(), IDS), card=CARDS, weights=COUNTS)
def test_fields_equal_the_packages_on_random_cards(name, path, card, weights):
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / name
        folder.mkdir()
        matter = yaml.safe_dump(card, allow_unicode=True)
        config = {"_name_or_path": path}
        sidecars = write(folder, {"README.md": f"---\n{matter}---\n", "config.json": json.dumps(config)})

        metadata = gguf.Metadata.load(model_path=folder, total_params=weights)
        counts = ParameterCounts(weights, weights, 0, 0)
        assert plain(general_fields(sidecars, name, config, counts).fields) == plain(written(metadata, counts))


@given(
    name=FOLDERS,
    counts=st.builds(ParameterCounts, COUNTS, COUNTS, COUNTS, st.integers(0, 512)).filter(lambda counts: counts.total),
)
def test_fields_equal_the_packages_on_random_names(name, counts):
    with tempfile.TemporaryDirectory() as parent:
        metadata = gguf.Metadata.load(model_path=Path(parent, name), total_params=counts.total)
        fields = general_fields(FolderSidecars(Path(parent)), name, {}, counts).fields
        assert plain(fields) == plain(written(metadata, counts))


def written(metadata: gguf.Metadata, counts: ParameterCounts) -> tuple[Field, ...]:
    """What the converter has the package write; it fills in the size label itself."""
    if metadata.size_label is None and counts.total > 0:
        metadata.size_label = gguf.size_label(counts.total, counts.shared, counts.expert, counts.expert_count)
    writer = gguf.GGUFWriter(path=None, arch="llama")
    writer.add_type(gguf.GGUFType.MODEL)
    metadata.set_gguf_meta_model(writer)
    return tuple(
        Field(key, ValueType(held.type), held.value)
        for key, held in writer.kv_data[0].items()
        if key != "general.architecture"
    )
