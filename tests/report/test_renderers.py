from __future__ import annotations

import dataclasses
import json
import re

import pytest
from report_factory import FORMATS, made_up
from rich.console import Console

from quantize_cli.measure.errors import TensorError
from quantize_cli.report import figures, html, json_report, markdown, terminal
from quantize_cli.report.model import SCHEMA_VERSION
from quantize_cli.report.several import Reports

EXACT = TensorError(0.0, 0.0, None, 0.0, 1.0)


def printed(reports, width, **options):
    console = Console(width=width, record=True, **options)
    with console.capture() as capture:
        console.print(terminal.render(reports))
    return capture.get()


def strict(text):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def with_finite_errors(report):
    tensors = tuple(tensor for tensor in report.tensors if tensor.type != "F16")
    types = tuple(row for row in report.types if row.type != "F16")
    return dataclasses.replace(report, tensors=tensors, types=types)


class TestJson:
    def test_is_the_dataclass_field_by_field(self, report):
        finite = with_finite_errors(report)
        expected = json.loads(json.dumps(dataclasses.asdict(finite)))
        assert strict(json_report.render([finite])) == {"schema_version": SCHEMA_VERSION, "reports": [expected]}
        assert finite.to_dict() == expected

    def test_keys_are_in_the_order_of_the_fields(self, report):
        (data,) = strict(json_report.render([report]))["reports"]
        for value, item in [
            (data, report),
            (data["totals"], report.totals),
            (data["types"][0], report.types[0]),
            (data["tensors"][0], report.tensors[0]),
            (data["tensors"][0]["error"], report.tensors[0].error),
        ]:
            assert list(value) == [field.name for field in dataclasses.fields(item)]
        assert next(iter(data)) == "schema_version"

    def test_one_report_and_several_stand_in_a_list(self, ladder):
        data = strict(json_report.render(ladder))
        assert list(data) == ["schema_version", "reports"]
        assert data["schema_version"] == SCHEMA_VERSION
        assert data["reports"] == [strict(json_report.render([one]))["reports"][0] for one in ladder]

    def test_weighted_errors_are_null_without_importance(self, report, weighted):
        def parts(value):
            (one,) = value["reports"]
            return [one["totals"], *one["types"], *one["tensors"]]

        assert {part["weighted_error"] for part in parts(strict(json_report.render([report])))} == {None}
        told = [part["weighted_error"] for part in parts(strict(json_report.render([weighted])))]
        assert told[:3] == [
            {"relative_rmse": 0.0314, "sqnr_db": 30.06},
            *[{"relative_rmse": 0.0123, "sqnr_db": 38.2}] * 2,
        ]

    def test_infinities_are_null(self, report):
        (data,) = strict(json_report.render([report]))["reports"]
        overflow = next(tensor for tensor in data["tensors"] if tensor["type"] == "F16")
        assert set(overflow["error"].values()) == {None}

    def test_is_ascii_and_ends_with_one_newline(self, report):
        text = json_report.render([dataclasses.replace(report, model="模型")])
        assert text.isascii()
        assert text.endswith("}\n")


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


class TestMarkdown:
    def test_every_table_is_rectangular(self, report):
        blocks = [block for block in markdown.render([report]).split("\n\n") if block.startswith("|")]
        assert len(blocks) == 5
        for block in blocks:
            lines = block.splitlines()
            assert {len(cells(line)) for line in lines} == {len(cells(lines[0]))}
            assert all(set(cell) <= {"-", ":"} for cell in cells(lines[1]))

    def test_has_a_row_for_every_tensor_and_type(self, report):
        tables = markdown.render([report]).split("## ")
        types = next(part for part in tables if part.startswith("Types"))
        tensors = next(part for part in tables if part.startswith("Tensors"))
        assert [cells(line)[0] for line in types.splitlines()[4:] if line] == [row.type for row in report.types]
        rows = [cells(line) for line in tensors.splitlines()[4:] if line.startswith("|")]
        assert [row[0].replace("\\", "") for row in rows] == [figures.printable(row.name) for row in report.tensors]
        reason = "Q6_K needs rows of 256, this one has 576"
        assert rows[0][2:9] == ["1536 x 576", "BF16", "Q8_0", reason, "-", "1,769,472", "940,032"]
        assert rows[0][9:] == ["8.50", "0.000102", "0.510 %", "45.85", "0.00051", "0.999987"]

    def test_names_cannot_become_markup(self, report):
        text = markdown.render([report])
        assert r"odd\|name\[bold\]\*x\*?\[31m.weight" in text
        assert "\x1b" not in text
        assert "blk.29.attn_output.weight" in text  # an underscore inside a word is left alone

    def test_a_summary_is_the_same_without_the_tables_of_tensors(self, ladder):
        for reports in (ladder, ladder[:1]):
            kept = re.sub(r"(?ms)^## Tensors\n\n.*?(?=^# |^Written)", "", markdown.render(reports))
            assert markdown.summary(reports) == kept
            assert "## Tensors" not in kept

    def test_reasons_have_rows_most_bytes_first(self, report):
        block = markdown.render([report]).split("## Reasons\n\n")[1].split("\n\n")[0]
        rows = [cells(line) for line in block.splitlines()]
        assert rows[0] == ["Type", "Reason", "Tensors", "Bytes"]
        assert rows[2] == ["F16", "asked for", "1", "1,769,472"]
        assert ["F32", "one dimension", "2", "4,608"] in rows
        assert sum(int(row[2]) for row in rows[2:]) == len(report.tensors)

    def test_warnings_and_largest_errors(self, report):
        text = markdown.render([report])
        assert "> **Warning:** 180 of 272 tensors" in text
        assert "Largest errors" in text
        quiet = dataclasses.replace(report, warnings=(), tensors=report.tensors[1:3])
        assert "Warning" not in markdown.render([quiet])
        assert "Largest errors" not in markdown.render([quiet])

    def test_a_ladder_begins_with_a_comparison(self, ladder):
        text = markdown.render(ladder)
        comparison, *each = re.split(r"(?m)^# ", text)[1:]
        assert comparison.startswith("SmolLM2-135M-Instruct in 3 formats\n")
        rows = [cells(line) for line in comparison.splitlines() if line.startswith("|")]
        assert {len(row) for row in rows} == {7}
        assert [row[0].replace("\\", "") for row in rows[2:]] == ["Q4_K_M", "IQ3_XXS", "MXFP4_MOE"]
        assert [row[-1] for row in rows[2:]] == ["-", "3.140 %", "3.140 %"]
        assert [part.splitlines()[0].split(" as ")[1] for part in each] == ["Q4_K_M", "IQ3_XXS", "MXFP4_MOE"]

    def test_weighted_errors_have_a_column_only_where_there_are_some(self, report, weighted):
        assert "eighted" not in markdown.render([report])
        text = markdown.render([weighted])
        assert "| Weighted relative RMSE | 3.140 % |" in text
        blocks = [block.splitlines() for block in text.split("\n\n") if "Weighted relative RMSE |" in block][1:]
        assert [[cells(line)[-1] for line in block[2:]] for block in blocks] == [
            ["1.230 %", "1.230 %", "-", "-"],
            ["1.230 %", "-", "-", "1.230 %", "1.230 %", "-", "1.230 %", "1.230 %"],
        ]


class TestReport:
    def test_repr_is_a_line(self, report):
        assert repr(report) == (
            "<Report: SmolLM2-135M-Instruct as Q4_K_M, 100.57 MiB, 6.17 bits/weight, SQNR 27.68 dB, "
            "/home/someone/models/SmolLM2-135M-Instruct-Q4_K_M.gguf>"
        )

    def test_repr_stays_a_line_with_long_and_hostile_names(self, report):
        long = dataclasses.replace(report, model="m\n\x1b" * 500, output="/x" * 500)
        assert len(repr(long)) < 240
        assert repr(long).isprintable()

    def test_repr_tells_that_nothing_was_lost(self, report):
        exact = dataclasses.replace(report, totals=dataclasses.replace(report.totals, error=EXACT))
        assert ", exact, " in repr(exact)
        assert ", unchanged, " in repr(unchanged(exact))

    def test_to_markdown_is_the_file(self, report):
        assert report.to_markdown() == markdown.render([report])

    def test_several_reports_have_the_same_forms(self, ladder):
        reports = Reports(ladder)
        assert reports == ladder
        assert reports.to_markdown() == markdown.render(ladder)
        assert reports.to_html() == html.render(ladder)
        assert reports._repr_html_().count("<tr>") == 1 + len(ladder)


def unchanged(report):
    """The same report of a run whose tensors had their types before."""
    tensors = tuple(dataclasses.replace(tensor, source_dtype=tensor.type) for tensor in report.tensors)
    return dataclasses.replace(report, tensors=tensors, totals=dataclasses.replace(report.totals, error=EXACT))


class TestTerminal:
    def test_copied_tensors_are_told(self, report):
        text = printed([unchanged(report)], 120)
        assert "none; all tensors are copied unchanged" in text
        exact = dataclasses.replace(report, totals=dataclasses.replace(report.totals, error=EXACT))
        assert "0, every weight is exact" in printed([exact], 120)

    def test_compiling_is_not_a_part_of_the_run(self, report, ladder):
        totals = dataclasses.replace(report.totals, compile_seconds=12.345)
        for reports in ([report], ladder):
            cold = [dataclasses.replace(one, totals=totals) for one in reports]
            assert re.search(r"1\.23 s.*, 2 threads, after 12\.35 s of compiling", printed(cold, 120))
            assert "compiling" not in printed(reports, 120)

    @pytest.mark.parametrize("width", [80, 120])
    @pytest.mark.parametrize("color", [None, "truecolor"])
    def test_fits_and_never_wraps_a_row(self, report, width, color):
        text = printed([report], width, color_system=color, force_terminal=color is not None)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        assert "\x1b" not in plain
        assert all(len(line) <= width for line in plain.splitlines())
        for row in ("Q5_0      150", "Q4_K       30", "F16         1", "F32        61"):
            assert sum(line.startswith(row) for line in plain.splitlines()) == 1
        for name in ("odd|name[bold]", "blk.12.ffn_gate_up", "blk.29.attn_output.weight ", "token_embd.weight "):
            assert sum(line.startswith(name) for line in plain.splitlines()) == 1
        assert "7.310 %    22.72" in plain
        assert ("this one has 576" in plain) == (width == 120)

    @pytest.mark.parametrize("width", [50, 58, 60, 66, 70, 76])
    def test_a_narrow_terminal_shows_fewer_columns_but_whole_headers_and_figures(self, report, weighted, width):
        for one in (report, weighted):
            lines = [line.rstrip() for line in printed([one], width).splitlines()]
            assert all(len(line) <= width for line in lines)
            (headers,) = [line for line in lines if line.startswith("type ")]
            assert "rel. RMSE  SQNR dB" in re.sub("  +", "  ", headers)
            (row,) = [line for line in lines if line.startswith("Q4_K ")]
            assert "662.94 MiB" in row
            assert ("weights" in headers) == (width >= 76 and one is report)
            assert sum("…" in line for line in lines) <= 5  # long names of tensors

    def test_widest_figures_fit_80_columns(self, report):
        wide = dataclasses.replace(report.types[0], tensors=12_345, weights=1_234_567_890_123, bytes=2**40 - 1)
        text = printed([dataclasses.replace(report, types=(wide,))], 80)
        assert "1,234,567,890,123" in text
        assert "1024.00 GiB" in text
        assert "SQNR dB" in text
        assert "28.36" in text

    def test_totals(self, report):
        text = printed([report], 80)
        for part in (
            "SmolLM2-135M-Instruct as Q4_K_M",
            "256.57 MiB  269,030,016 bytes  16.00 bits/weight",
            "98.87 MiB  103,668,480 bytes   6.17 bits/weight",
            "100.57 MiB  105,453,984 bytes",
            "134,515,008 in 272 tensors",
            "4.130 % relative RMSE, SQNR 27.68 dB",
            "1.23 s, 109.0 M weights/s, 2 threads",
            "402.11 MiB at the peak",
            "/home/someone/models/SmolLM2-135M-Instruct-Q4_K_M.gguf",
            "warning: 180 of 272",
        ):
            assert part in text

    def test_largest_errors_come_first_and_exact_tensors_never(self, report):
        types = [tensor.type for tensor in figures.largest_errors(report)]
        assert types == ["F16", "Q4_K", "Q5_0", "Q6_K", "Q8_0"]
        exact = dataclasses.replace(report, tensors=report.tensors[1:3])
        assert "largest errors" not in printed([exact], 80)

    def test_a_long_path_is_shown_whole(self, report):
        path = "/models/" + "x" * 150 + ".gguf"
        text = printed([dataclasses.replace(report, output=path)], 80)
        assert path in re.sub(r"\s+", "", text)

    def test_standard_output_is_named(self, report):
        assert "standard output" in printed([dataclasses.replace(report, output="-")], 80)

    @pytest.mark.parametrize("width", [80, 120])
    def test_a_weighted_error_fits_too(self, report, weighted, width):
        assert "weighted" not in printed([report], width)
        lines = [line.rstrip() for line in printed([weighted], width).splitlines()]
        assert all(len(line) <= width for line in lines)
        (headers,) = [line for line in lines if line.startswith("type ")]
        assert headers.split()[-1] == "weighted"
        assert [line.split()[-2:] for line in lines if line.startswith(("Q5_0 ", "F32 "))] == [
            ["1.230", "%"],
            ["exact", "-"],
        ]
        assert any(
            line.startswith("weighted") and "3.140 % relative RMSE, weighted by importance" in line for line in lines
        )

    @pytest.mark.parametrize("width", [80, 120])
    def test_a_ladder_is_a_table_with_a_line_for_each_format(self, ladder, width):
        lines = [line.rstrip() for line in printed(ladder, width).splitlines()]
        assert all(len(line) <= width for line in lines)
        assert lines[0] == "SmolLM2-135M-Instruct in 3 formats  llama"
        rows = [line.split() for line in lines if line.startswith(("Q4_K_M ", "IQ3_XXS ", "MXFP4_MOE "))]
        assert [row[:8] for row in rows] == [
            [name, "100.57", "MiB", "105,453,984", "6.17", "4.130", "%", "27.68"]
            for name in ("Q4_K_M", "IQ3_XXS", "MXFP4_MOE")
        ]
        assert any("warning: Q4_K_M: 180 of 272 tensors" in line for line in lines)

    @pytest.mark.parametrize("width", [50, 56, 60, 66, 70, 78, 80])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_a_narrow_terminal_shows_the_figures_of_a_large_ladder_whole(self, width, weighted):
        reports = [made_up(name, 200, weighted=weighted) for name in FORMATS]
        lines = [line.rstrip() for line in printed(reports, width).splitlines()]
        assert all(len(line) <= width for line in lines)
        assert not any("…" in line for line in lines)
        (headers,) = [line for line in lines if line.startswith("format ")]
        assert ("bytes" in headers) == (width >= (80 if weighted else 68))
        assert sum("GiB" in line and "%" in line for line in lines) == len(FORMATS)

    def test_a_warning_of_several_formats_is_shown_once(self, ladder):
        same = [dataclasses.replace(one, warnings=("It is odd.", f"{one.format} is.")) for one in ladder[:2]]
        lines = [line.rstrip() for line in printed(same, 80).splitlines() if line.startswith("warning")]
        assert lines == [
            "warning: It is odd.",
            "warning: Q4_K_M: Q4_K_M is.",
            "warning: IQ3_XXS: IQ3_XXS is.",
        ]

    def test_a_ladder_shows_every_path_whole(self, ladder):
        text = printed(ladder, 80)
        for one in ladder:
            assert any(line.split()[-1:] == [one.output] for line in text.splitlines())


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (2**20, "1.00 MiB"),
        (105_453_984, "100.57 MiB"),
        (5 * 2**30 // 4, "1.25 GiB"),
        (2**52, "4096.00 TiB"),
    ],
)
def test_size(nbytes, text):
    assert figures.size(nbytes) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(None, "-"), (0.0, "0.000 %"), (1e-7, "<0.001 %"), (0.0731, "7.310 %"), (1.0, "100.000 %")]
)
def test_percent(ratio, text):
    assert figures.percent(ratio) == text
