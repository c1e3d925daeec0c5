"""`quantize plan`, `--dry-run` and `quantize formats --for`: what is shown, and that it is true."""

from __future__ import annotations

import json
import re

import pytest
from checkpoint_factory import PRE_TOKENIZER, make_checkpoint
from command_line import assert_refused, sentence

from quantize_cli import quantize as run
from quantize_cli.api import preview
from quantize_cli.mixes.tables import FORMATS

PRE = ("--pre-tokenizer", PRE_TOKENIZER)


@pytest.fixture(params=[80, 60])
def columns(request, monkeypatch):
    """The width of the terminal."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


# What is planned is what is written.


@pytest.mark.parametrize(
    ("family", "format_name", "options"),
    [
        ("llama", "q8_0", {}),
        ("qwen2", "q4_0", {"split_max_size": "1M"}),
        ("qwen3", "f16", {"override_kv": ["general.name=str:another"], "prune_layers": "1"}),
    ],
)
def test_the_files_have_exactly_the_planned_sizes(family, format_name, options, tmp_path, quantize):
    folder = make_checkpoint(tmp_path / family, family, num_hidden_layers=3)
    found = preview(folder, format_name, pre_tokenizer=PRE_TOKENIZER, **options)
    (planned,) = found.to_dict()["plans"]
    report = run(folder, format_name, tmp_path / "out.gguf", pre_tokenizer=PRE_TOKENIZER, threads=1, **options)
    written = {path.name.removeprefix("out").removesuffix(".gguf"): path for path in tmp_path.glob("out*.gguf")}
    assert {file["suffix"]: file["file_bytes"] for file in planned["files"]} == {
        suffix: path.stat().st_size for suffix, path in written.items()
    }
    assert planned["file_bytes"] == report.totals.file_bytes
    assert found.needs is not None
    assert found.needs.disk_bytes == report.totals.file_bytes
    for file in planned["files"]:
        content = written[file["suffix"]].read_bytes()
        assert file["tensors"][0]["offset"] == 0
        assert content[: file["header_bytes"]].startswith(b"GGUF")
        assert len(content) >= file["header_bytes"] + sum(tensor["bytes"] for tensor in file["tensors"])


def test_the_table_of_all_formats_has_the_sizes_of_plans(llama):
    table = {
        choice.size.format: choice.size.file_bytes for choice in preview(llama, pre_tokenizer=PRE_TOKENIZER).choices
    }
    names = ["F16", "Q8_0", "Q4_K_M", "TQ1_0"]
    planned = preview(llama, names, pre_tokenizer=PRE_TOKENIZER)
    assert set(table) == set(FORMATS)
    assert {plan.format: plan.file_bytes for plan in planned.plans} == {name: table[name] for name in names}
    assert sorted(table.values(), key=lambda size: -(size or 0)) == [*table.values()]


# One format.


def test_one_format_is_shown_with_types_reasons_and_costs(quantize, llama, columns):
    result = quantize("plan", llama, "-f", "q4_k_m", *PRE, "--threads", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "tiny-llama as Q4_K_M (llama)"
    assert max(map(len, lines)) <= columns or columns == 60
    assert re.search(r"^blk\.\*\.attn_q\.weight +Q4_K +2 .* Q4_K_M's default$", result.stdout, re.MULTILINE)
    assert re.search(r"^[\d,]+ bytes \(.*\) would be written$", result.stdout, re.MULTILINE)
    text = re.sub(r"\s+", " ", result.stdout)
    assert "fallbacks none" in text
    assert re.search(r"the run about \d+ MiB of memory with 2 threads, [\d.]+ [KM]iB of disk", text)
    assert "for a context of 128 tokens (F16)" in text


def test_every_tensor_is_shown_if_it_is_asked_for(quantize, llama):
    result = quantize("plan", llama, "q4_k_m", "--tensors", *PRE)
    assert result.exit_code == 0
    assert re.search(r"^blk\.1\.ffn_up\.weight +512 x 256 +Q4_K ", result.stdout, re.MULTILINE)
    assert "blk.*" not in result.stdout


def test_the_cost_of_fallbacks_is_told(quantize, tmp_path):
    folder = make_checkpoint(tmp_path / "odd", hidden_size=96, intermediate_size=160, head_dim=24)
    result = quantize("plan", folder, "-f", "q4_k_m", *PRE)
    assert result.exit_code == 0
    told = re.search(r"fallbacks +(\d+) tensors, ([\d,]+) bytes \((.*)%\) more", result.stdout)
    assert told is not None
    assert f"{told[1]} of" in result.stderr
    assert f"{told[2]} bytes ({told[3]}%) larger" in result.stderr


def test_a_dry_run_prints_the_same(quantize, llama):
    dry = quantize(llama, "-f", "q8_0", "--dry-run", *PRE)
    assert dry.stdout
    assert dry == quantize("plan", llama, "-f", "q8_0", *PRE)
    assert quantize(llama, "--dry-run", *PRE).stdout == quantize("plan", llama, *PRE).stdout


# Several formats, or all.


def test_several_formats_are_a_table(quantize, llama, columns):
    result = quantize("plan", llama, "-f", "q4_k_m,q8_0", "--fits", "16GiB", *PRE)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "tiny-llama (llama)"
    assert max(map(len, lines)) <= columns
    rows = {line.split()[0]: line for line in lines[4:6]}
    assert set(rows) == {"q4_k_m", "q8_0"}
    assert all(row.endswith(" yes") for row in rows.values())
    assert "fits        q8_0 is the largest that fits into 16.00 GiB" in lines
    assert "the run " in result.stdout


def test_without_a_format_all_are_a_table_with_advice(quantize, llama, columns):
    result = quantize("plan", llama, "--fits", "1MiB", *PRE)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    rows = {line.split()[0]: line for line in lines[4 : 4 + len(FORMATS)]}
    assert set(rows) == {name.lower() for name in FORMATS}
    assert rows["iq2_xs"].endswith(" no  needs --imatrix")
    assert "fits        nothing fits into 1.00 MiB" in lines
    assert "Choose the largest that fits your memory" in result.stdout


def test_a_run_without_a_format_shows_the_table_and_fails(quantize, llama):
    result = quantize(llama, *PRE)
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence(result.stderr).startswith("No format is given; add one")
    assert re.search(r"^q4_k_m +[\d,]+ ", result.stderr, re.MULTILINE)
    assert "Choose the largest that fits your memory" in result.stderr


def test_a_larger_context_takes_more(llama):
    sizes = [
        preview(llama, "f16", pre_tokenizer=PRE_TOKENIZER, context=n).choices[0].memory for n in (None, 1000, 4000)
    ]
    assert [memory.context for memory in sizes] == [128, 1000, 4000]
    # Two layers, two heads of 64 numbers of two bytes, keys and values, for multiples of 256 tokens.
    assert [memory.kv_cache for memory in sizes] == [2 * 2 * 64 * 2 * 2 * tokens for tokens in (256, 1024, 4096)]


def test_the_limit_is_compared_with_all_that_is_counted(llama):
    (choice,) = preview(llama, "f16", pre_tokenizer=PRE_TOKENIZER).choices
    assert choice.memory is not None
    assert choice.fits is None
    for limit, fits in ((choice.memory.total, True), (choice.memory.total - 1, False)):
        assert preview(llama, "f16", pre_tokenizer=PRE_TOKENIZER, fits=limit).choices[0].fits is fits


def test_formats_for_a_model_have_its_sizes_and_what_each_is_good_for(quantize, llama, columns):
    result = quantize("formats", "q4", "--for", llama, *PRE)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert [line.split()[0] for line in lines if re.match(r"i?q\d", line)] == [
        choice.size.format.lower()
        for choice in preview(llama, pre_tokenizer=PRE_TOKENIZER).choices
        if "Q4" in choice.size.format
    ]
    assert "The usual choice;" in result.stdout


def test_formats_for_a_model_as_json(quantize, llama):
    found = json.loads(quantize("formats", "q4_k", "--for", llama, "--json", *PRE).stdout)
    assert {choice["format"] for choice in found["choices"]} == {"Q4_K_M", "Q4_K_S"}


# JSON.


def test_the_json_is_that_of_the_library(quantize, llama):
    result = quantize("plan", llama, "-f", "q4_k_m", "-f", "f16", "--json", "--threads", "3", *PRE)
    assert (result.exit_code, result.stderr) == (0, "")
    found = preview(llama, ["q4_k_m", "f16"], pre_tokenizer=PRE_TOKENIZER, threads=3)
    assert json.loads(result.stdout) == json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [plan["digest"] for plan in json.loads(result.stdout)["plans"]] == [plan.digest for plan in found.plans]


# Mistakes.


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("plan",), 2, "No MODEL is given"),
        (("plan", "nowhere"), 1, "nowhere does not exist"),
        (("plan", "MODEL", "-f", "q4km"), 2, "MODEL stands for a model"),
        (("plan", "one", "-f", "q9"), 2, "Unknown format 'q9'"),
        (("plan", "one", "-f", "q8_0", "-o", "x"), 2, "-o is not an option of plan; it belongs to quantize MODEL."),
        (("plan", "one", "--fits", "much"), 2, "'much' is not an amount of memory; write it as in 16GiB."),
        (("plan", "one", "--fits"), 2, "--fits needs a value; write --fits SIZE."),
        (("plan", "one", "--context", "0"), 2, "--context takes a number of tokens, not '0'."),
        (("plan", "one", "--pure"), 2, "--pure needs a format; name at least one with --format."),
        (("one", "-f", "q8_0", "--fits", "1G"), 2, "--fits is not an option; `quantize plan MODEL` has it."),
        (("formats", "--fits", "1G"), 2, "--fits and --context are about a model's file; name the model with --for."),
        (("formats", "--for", "nowhere"), 1, "nowhere"),
    ],
)
def test_mistakes(words, code, told, quantize, work):
    (work / "one").mkdir()
    assert_refused(quantize(*words), code, told)


def test_a_refusal_is_that_of_the_run(quantize, llama):
    planned, dry = quantize("plan", llama, "-f", "iq2_xs", *PRE), quantize(llama, "-f", "iq2_xs", *PRE)
    assert planned == dry
    assert "importance matrix" in sentence(planned.stderr)
