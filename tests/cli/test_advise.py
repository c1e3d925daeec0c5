"""`quantize advise`: what is offered fits, in the order of what people want, and nothing is invented."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import assert_refused
from evaluation_factory import evaluated as evaluated_formats

from quantize_cli import CheckpointError, QuantizeError, UsageError, advise, inspect, preview
from quantize_cli import quantize as run
from quantize_cli.advice.measured import read_measurements
from quantize_cli.report.evaluations.write import to_json

EXAMPLE = Path(__file__).parents[2] / "examples" / "shakespeare-llama"
#: More than the example takes in any format, and what only its smaller formats fit.
MUCH, LITTLE = "1GiB", "11MiB"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The example as finished files: quantized, and in 16 bits without one of its layers."""
    folder = tmp_path_factory.mktemp("files")
    run(EXAMPLE, "q8_0", folder / "example-Q8_0.gguf", threads=1)
    run(EXAMPLE, "bf16", folder / "shorter.gguf", threads=1, prune_layers="1")
    return folder


@pytest.fixture
def evaluated(tmp_path):
    """Write the JSON of an evaluation of two files of the example."""

    def write(**instead):
        files = [
            {
                "file": f"measured-{name}.gguf",
                "format": name,
                "bytes": size,
                "bits_per_weight": bits,
                "all": {"mean_kld": kld, "mean_kld_error": 0.001, "tokens": 100},
            }
            for name, size, bits, kld in (("Q4_K_M", 2_000_000, 4.7, 0.0361), ("Q2_K", 1_200_000, 2.8, 0.5))
        ]
        held = {"schema_version": 1, "original": str(EXAMPLE), "files": files, "context": 512, **instead}
        path = tmp_path / "evaluation.json"
        path.write_text(json.dumps(held))
        return path

    return write


# What is offered.


def test_every_offer_fits_and_is_what_a_plan_tells():
    advice = advise(EXAMPLE, LITTLE, context=1000)
    sizes = {choice.size.format: choice for choice in preview(EXAMPLE, context=1000).choices}
    assert advice.limit == 11 << 20
    assert advice.offers
    for offer in advice.offers:
        choice = sizes[offer.format]
        assert (offer.file_bytes, offer.bits_per_weight) == (choice.size.file_bytes, choice.size.bits_per_weight)
        assert (offer.memory, offer.needs) == (choice.memory, choice.size.needs)
        assert advice.headroom(offer) == advice.limit - offer.memory.total >= 0
        assert offer.parameters == inspect(EXAMPLE).parameters.total
    offered = {offer.format for offer in advice.offers}
    fitting = {name for name, choice in sizes.items() if choice.memory.total <= advice.limit}
    assert offered < fitting
    assert fitting - offered <= {
        "F32",
        "F16",
        "Q5_1",
        "Q5_0",
        "Q4_1",
        "Q4_0",
        "IQ4_NL",
        "MXFP4_MOE",
        "TQ2_0",
        "TQ1_0",
        "Q2_0",
        "Q1_0",
    }
    assert "Q8_0" not in offered  # it does not fit


def test_the_largest_model_comes_first_and_then_the_most_bits(files):
    advice = advise([files / "shorter.gguf", EXAMPLE], MUCH)
    keys = [(offer.parameters, offer.bits_per_weight) for offer in advice.offers]
    assert keys == sorted(keys, reverse=True)
    assert [*dict.fromkeys(offer.model for offer in advice.offers)] == ["shakespeare-llama", "shorter"]
    assert advice.offers[0].format == "BF16"
    assert (advice.too_large, advice.unknown) == ((), ())


def test_a_quantized_file_stands_for_itself(files):
    path = files / "example-Q8_0.gguf"
    (offer,) = advise(path, MUCH).offers
    assert (offer.format, offer.file, offer.file_bytes) == ("Q8_0", str(path), path.stat().st_size)
    assert offer.bits_per_weight == pytest.approx(8.52, abs=0.01)


def test_a_model_of_which_nothing_fits_is_told_with_its_smallest(files):
    shorter = advise(files / "shorter.gguf", MUCH)
    least = min(offer.memory.total for offer in shorter.offers)
    advice = advise([files / "shorter.gguf", files / "example-Q8_0.gguf"], least)
    assert {offer.model for offer in advice.offers} == {"shorter"}
    assert [offer.file for offer in advice.too_large] == [str(files / "example-Q8_0.gguf")]


def test_a_model_whose_memory_is_not_known_is_left_out(files, monkeypatch):
    from quantize_cli.advice import build

    known = build.memory_to_run

    def only_of_large(metadata, file_bytes, context):
        return (
            None if file_bytes == (files / "example-Q8_0.gguf").stat().st_size else known(metadata, file_bytes, context)
        )

    monkeypatch.setattr(build, "memory_to_run", only_of_large)
    advice = advise([files / "example-Q8_0.gguf", files / "shorter.gguf"], MUCH)
    assert advice.unknown == (str(files / "example-Q8_0.gguf"),)
    with pytest.raises(QuantizeError, match=r"It is not known what llama\.cpp keeps of a context for"):
        advise(files / "example-Q8_0.gguf", MUCH)


# Measured files.


def test_measured_files_take_the_place_of_their_formats(evaluated):
    advice = advise(EXAMPLE, MUCH, evaluations=[evaluated()])
    measured = {offer.file: offer for offer in advice.offers if offer.mean_kld is not None}
    assert {name: offer.mean_kld for name, offer in measured.items()} == {
        "measured-Q4_K_M.gguf": 0.0361,
        "measured-Q2_K.gguf": 0.5,
    }
    assert [offer.file for offer in advice.offers if offer.format == "Q4_K_M"] == ["measured-Q4_K_M.gguf"]
    assert measured["measured-Q4_K_M.gguf"].file_bytes == measured["measured-Q4_K_M.gguf"].memory.weights == 2_000_000
    assert all(offer.mean_kld is None for offer in advice.offers if offer.file is None)


def test_what_eval_writes_is_read(tmp_path):
    held = replace(evaluated_formats("Q8_0", "Q2_K"), original=str(EXAMPLE))
    (tmp_path / "evaluation.json").write_text(to_json(held))
    measured = read_measurements(tmp_path / "evaluation.json")
    assert measured.original == held.original
    assert [
        (file.file, file.format, file.nbytes, file.bits_per_weight, file.mean_kld, file.mean_kld_error)
        for file in measured.files
    ] == [
        (file.file, file.format, file.bytes, file.bits_per_weight, file.all.mean_kld, file.all.mean_kld_error)
        for file in held.files
    ]


def test_an_evaluation_of_another_model_is_refused(evaluated):
    with pytest.raises(UsageError, match=r"is about org/other, which is not among the models; name it, too\.$"):
        advise(EXAMPLE, MUCH, evaluations=[evaluated(original="org/other")])


@pytest.mark.parametrize(
    ("instead", "told"),
    [
        ({"schema_version": 2}, "its schema_version is 2, not 1"),
        ({"original": None}, "its original is None"),
        ({"files": {}}, "its files is {}"),
        ({"files": [{"file": "x.gguf"}]}, "it lacks all"),
        ({"files": [{"all": {}, "file": "x", "bytes": -1}]}, "its bytes is -1"),
        ({"files": [{"all": {}, "file": "x", "bytes": True}]}, "its bytes is True"),
        ({"files": [{"all": {"mean_kld": "?"}, "file": "x", "bytes": 1, "bits_per_weight": 4}]}, "its mean_kld is '?'"),
    ],
)
def test_what_is_not_an_evaluation_is_refused(instead, told, evaluated):
    with pytest.raises(CheckpointError, match="is not what `quantize eval --json` prints") as raised:
        advise(EXAMPLE, MUCH, evaluations=[evaluated(**instead)])
    assert f"({told})" in str(raised.value)


# The command.


def test_the_table_has_the_largest_files_of_each_model(quantize, files, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = ("advise", "--memory", MUCH, EXAMPLE, files / "shorter.gguf")
    result = quantize(*words)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "What runs in 1.00 GiB, the largest model first"
    assert max(map(len, lines)) <= 80
    rows = [re.split(r"  +", line.strip()) for line in lines[4:10]]
    assert [(row[1], row[-1]) for row in rows] == [
        *(((name, "shakespeare-llama")) for name in ("bf16", "q8_0", "q6_k")),
        *(((name, "shorter")) for name in ("bf16", "q8_0", "q6_k")),
    ]
    assert lines[10] == ""
    assert "bits alone do not compare models" in re.sub(r"\s+", " ", result.stdout)
    assert "KLD" not in result.stdout
    everything = quantize(*words, "--all").stdout.splitlines()
    assert len([line for line in everything if "shakespeare-llama" in line]) > 20


def test_measured_files_are_always_in_the_table(quantize, evaluated):
    result = quantize("advise", EXAMPLE, "--memory", MUCH, "--evaluation", evaluated())
    assert result.exit_code == 0
    assert re.search(r"^ +[\d.]+M +q2_k +2\.80 .* 0\.5000 +measured-Q2_K\.gguf$", result.stdout, re.MULTILINE)
    assert "It compares files of one model" in re.sub(r"\s+", " ", result.stdout)


def test_the_json_is_that_of_the_library_and_is_described(quantize, evaluated):
    path = evaluated()
    result = quantize("advise", EXAMPLE, "--memory", MUCH, "--context", "512", "--evaluation", path, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found == json.loads(json.dumps(advise(str(EXAMPLE), MUCH, context=512, evaluations=[path]).to_dict()))
    page = (EXAMPLE.parents[1] / "docs" / "advise.md").read_text()
    keys = {*found, *found["offers"][0], *found["offers"][0]["memory"]}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == keys


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("advise", "one"), 2, "--memory is missing; tell how much there is, for example --memory 16GiB."),
        (("advise", "--memory", "16GiB"), 2, "No MODEL is given"),
        (("advise", "--memory"), 2, "--memory needs a value; write --memory SIZE."),
        (("advise", "one", "--memory", "much"), 2, "'much' is not an amount of memory; write it as in 16GiB."),
        (("advise", "one", "--memory", "1G", "--context", "0"), 2, "--context takes a number of tokens, not '0'."),
        (("advise", "nowhere", "--memory", "1G"), 1, "nowhere does not exist"),
        (("advise", "one", "noone", "--memory", "1G"), 1, "noone does not exist"),
        (("advise", "one", "--memory", "1G", "--evaluation", "none.json"), 1, "none.json is missing"),
        (("advise", "one", "--memory", "1G", "-f", "q8_0"), 2, "-f is not an option of advise"),
        (("plan", "one", "--evaluation", "x"), 2, "--evaluation is not an option; `quantize advise MODEL` has it."),
    ],
)
def test_mistakes(words, code, told, quantize, work):
    (work / "one").mkdir()
    assert_refused(quantize(*words), code, told)


def test_nothing_fits_is_told_with_the_smallest_that_there_is(quantize):
    result = quantize("advise", EXAMPLE, "--memory", "1MiB", "--context", "256")
    assert_refused(result, 2, "Nothing fits into 1.00 MiB: the smallest is shakespeare-llama as IQ1_S, which takes")
