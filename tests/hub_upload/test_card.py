"""The model card, from reports."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from quantize_cli import quantize
from quantize_cli.gguf_file.fields import Field, ValueType
from quantize_cli.hub_upload.asked import license_of
from quantize_cli.hub_upload.card import render, renewed
from quantize_cli.report.model import FileReport, ImatrixReport, SourceReport

SOURCE = SourceReport("org/base", "org/base", "c" * 40)
LICENSE = {"license": "apache-2.0"}


@pytest.fixture(scope="module")
def report(llama, tmp_path_factory):
    path = tmp_path_factory.mktemp("card") / "tiny-Q8_0.gguf"
    return quantize(llama, "q8_0", path, pre_tokenizer="gpt-2", threads=1)


def front(card: str) -> dict[str, object]:
    found = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_a_model_of_the_hub_is_named_as_the_base_with_its_license(report):
    card = render([replace(report, source=SOURCE)], "me/tiny", LICENSE)
    assert front(card) == {
        "base_model": "org/base",
        "base_model_relation": "quantized",
        "license": "apache-2.0",
        "tags": ["gguf", "llama.cpp"],
    }
    assert f"`org/base`, commit `{'c' * 40}`" in card


def test_a_license_that_the_hub_has_not_checked_is_left_out(report):
    assert "license" not in front(render([report], "me/tiny", LICENSE))


def test_an_importance_matrix_is_a_tag(report):
    card = render([replace(report, imatrix=ImatrixReport("i.gguf", 1, 1, ()))], "me/tiny", {})
    assert "imatrix" in str(front(card)["tags"])


def test_how_to_run_it(report):
    card = render([report], "me/tiny", {})
    assert "llama-cli --hf-repo me/tiny --hf-file 'tiny-Q8_0.gguf'\nollama run hf.co/me/tiny:Q8_0" in card
    assert "ollama" not in render([replace(report, files=report.files * 2)], "me/tiny", {})


def test_names_are_no_markup(report):
    name = "a|b`<script>\n](x)'.gguf"
    card = render([replace(report, model=name, files=(FileReport(name, 1, "0" * 64),))], "me/tiny", {})
    assert "[`a¦b'<script>?](x)'.gguf`](a%7Cb%60%3Cscript%3E%0A%5D%28x%29%27.gguf)" in card
    assert "# GGUF files of `a¦b'<script>?](x)'.gguf`\n" in card


def test_only_the_rows_of_the_same_files_change(report):
    card = render([report], "me/tiny", {})
    other = replace(report, format="F16", files=(FileReport("tiny-F16.gguf", 1, "0" * 64),))
    both = renewed(card.replace("## Run it", "## Mine"), [other])
    assert both is not None
    row = next(line for line in both.splitlines() if "tiny-F16" in line)
    end = "<!-- quantize-cli: end"
    assert both.replace("## Mine", "## Run it") == card.replace(end, f"{row}\n{end}")
    assert renewed(both, [other]) == both
    assert renewed("# A card of my own\n", [report]) is None


def test_the_license_comes_from_the_metadata():
    text = {"general.license": "other", "general.license.name": "mine", "general.name": "x"}
    fields = [Field(key, ValueType.STRING, value) for key, value in text.items()]
    assert license_of(fields) == {"license": "other", "license_name": "mine"}
