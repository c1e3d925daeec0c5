"""What people type who do not know the command yet, and the sentence that helps each of them."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from checkpoint_factory import make_checkpoint
from command_line import COMMAND, Result, invoke, sentence, started

from quantize_cli.cli import app, console, progress
from quantize_cli.cli.failures import ISSUES
from quantize_cli.version import GENERATOR

NO_FORMAT = "No format is given; add one, for example --format q4_k_m (`quantize formats` lists all)."
NO_MODEL = (
    "No MODEL is given, and the current folder is not a checkpoint; name a folder, a .safetensors or .gguf file, or a "
    "Hub id (org/name)."
)
WHAT_MODELS_ARE = "give a folder, a .safetensors or .gguf file, or a Hub id (org/name)."
MODEL_FIRST = "leave it out: quantize MODEL --format q4_k_m."
ONE_TOO_MANY = (
    "is one word too many; write the output after -o and each format after -f, and quote a path that has spaces."
)
WRITE_FORMAT = "write --format NAME, for example --format q4_k_m."
MODEL_WITHOUT = "is not an option; write MODEL without an option, as in quantize MODEL --format q4_k_m."
EMPTY = "is empty; check the variable that it comes from, or leave it out."
OTHER_METHOD = "llama.cpp does not have this method; with about as many bits, choose q4_k_m."
THREADS = "--threads takes a number from 1 to 1024, not"

#: Words, the exit code, the sentence. The folder holds the checkpoints `tiny-llama`, `My Model` and `sub/big-llama`,
#: and the file in.gguf.
COMMANDS: list[tuple[str, int, str]] = [
    # A first word that is not a model.
    ("format", 2, "format is not a command; the nearest is `quantize formats`."),
    ("warmup q8_0", 2, "warmup is not a command; the nearest is `quantize warm`."),
    ("mode -f q8_0", 2, "mode is not a command; the nearest is `quantize model`."),
    ("help", 2, "help is not a command; `quantize --help` shows the options."),
    ("list", 2, "list is not a command; `quantize formats` lists the formats."),
    ("convert tiny-llama -f q8_0", 2, f"convert is not a command; {MODEL_FIRST}"),
    ("quantize tiny-llama -f q8_0", 2, f"quantize is not a command; {MODEL_FIRST}"),
    ("-f q8_0 formats", 2, "The command comes first: quantize formats."),
    (
        "validate tiny-llama",
        1,
        f"validate does not exist, and it is not a command ({', '.join(sorted(app.GROUP.commands))}) either; "
        f"{WHAT_MODELS_ARE}",
    ),
    ("tiny-lama -f q8_0", 1, "tiny-lama does not exist; the nearest name is tiny-llama."),
    ("Tiny-Llama -f q8_0", 1, "Tiny-Llama does not exist; the nearest name is tiny-llama."),
    ("./sub/big-lama -f q8_0", 1, "./sub/big-lama does not exist; the nearest name is sub/big-llama."),
    ("./nowhere -f q8_0", 1, f"./nowhere does not exist; {WHAT_MODELS_ARE}"),
    ("nowhere.gguf -f q8_0", 1, f"nowhere.gguf does not exist; {WHAT_MODELS_ARE}"),
    ("./formats -f q8_0", 1, f"./formats does not exist; {WHAT_MODELS_ARE}"),
    ("My Model -f q8_0", 2, "My Model has spaces in its name; put the path in quotes."),
    ("MODEL -f q8_0", 2, f"MODEL stands for a model; {WHAT_MODELS_ARE}"),
    ("<model> -f q8_0", 2, f"<model> stands for a model; {WHAT_MODELS_ARE}"),
    ("q4_k_m -f q8_0", 2, f"q4_k_m is a format, and the model is missing; {WHAT_MODELS_ARE}"),
    ("q4km", 2, "Unknown format 'q4km'; write q4_k_m."),
    ("model-Q4_K_M.gguf -f q8_0", 1, f"model-Q4_K_M.gguf does not exist; {WHAT_MODELS_ARE}"),
    # A model or a format is missing.
    ("-f q8_0", 2, NO_MODEL),
    ("model -f q8_0", 2, NO_MODEL),
    ("q8_0", 2, NO_MODEL),
    ("tiny-llama", 2, NO_FORMAT),
    ("--dry-run", 2, NO_MODEL),
    ("in.gguf out.gguf", 2, NO_FORMAT),
    ("tiny-llama -f q8_0 -f Q8_0", 2, "The format Q8_0 is given twice; name each format once."),
    # Words of llama-quantize.
    ("in.gguf out.gguf 15", 2, "Unknown format '15'; llama-quantize has this number for q4_k_m; write q4_k_m."),
    ("in.gguf out.gguf 15 4", 2, "Unknown format '15'; llama-quantize has this number for q4_k_m; write q4_k_m."),
    (r"C:\models\x -f q8_0", 1, rf"C:\models\x does not exist; {WHAT_MODELS_ARE}"),
    ("--hlep", 2, "--hlep is not an option; the nearest is --help."),
    (
        "in.gguf 8",
        2,
        "Unknown format '8'; llama-quantize has this number for q5_0; for 8 bits a weight, choose q8_0.",
    ),
    (
        "in.gguf out.gguf COPY",
        2,
        "Unknown format 'COPY'; to copy all tensors as they are, choose the format that they have, for example bf16.",
    ),
    ("in.gguf out.gguf int4", 2, "Unknown format 'int4'; for 4 bits a weight, choose q4_k_m."),
    ("in.gguf q8_0 0", 2, f"{THREADS} '0'."),
    ("in.gguf out q8_0", 2, f"out {ONE_TOO_MANY}"),
    ("in.gguf out.gguf -f q8_0", 2, "out.gguf is one word too many; write the output as -o out.gguf."),
    ("in.gguf sub/new.gguf -f q8_0", 2, "sub/new.gguf is one word too many; write the output as -o sub/new.gguf."),
    ("in.gguf ./new -f q8_0", 2, f"./new {ONE_TOO_MANY}"),
    ("in.gguf a.gguf q8_0 -o b.gguf", 2, "Two outputs are given, a.gguf and b.gguf; leave one of them out."),
    ("in.gguf new/ -f q8_0", 2, "new/ is one word too many; write the output as -o new/."),
    ("tiny-llama big-lama -f q8_0", 2, f"big-lama {ONE_TOO_MANY}"),
    ("tiny-llama tiny-lama -f q8_0", 2, "tiny-lama does not exist; the nearest name is tiny-llama."),
    ("tiny-llama - -f q8_0", 2, "- reads all models from standard input; leave it out, or the other words."),
    ("- tiny-llama -f q8_0", 2, "- reads all models from standard input; leave it out, or the other words."),
    (
        "tiny-llama sub/big-llama -f q8_0 -o x.gguf",
        2,
        "x.gguf is a file, and there are 2 models; name a folder with -o.",
    ),
    (
        "tiny-llama sub/big-llama -f q8_0 -o -",
        2,
        "One stream cannot hold several models; name a folder with -o.",
    ),
    (
        "tiny-llama sub/big-llama -f q8_0 --report r.md",
        2,
        "--report r.md can hold one model; for several, --json prints a line for each file.",
    ),
    ("--config quantize.toml tiny-llama", 2, "quantize.toml names the models; leave tiny-llama out, or --config."),
    (
        "--config quantize.toml",
        2,
        "quantize.toml cannot be read (No such file or directory); choose another file with --config.",
    ),
    (
        "tiny-llama -f q8_0 -o - --json",
        2,
        "Standard output takes the model; leave --json and --modelfile out, or name a file with -o.",
    ),
    (
        "tiny-llama -f q8_0 --dry-run --json",
        2,
        "--json prints reports of runs; `quantize plan MODEL --json` prints what a run would write.",
    ),
    (
        "tiny-llama -f q8_0 --max-rmse much",
        2,
        "--max-rmse 'much' does not give a limit; write it as in 0.08 or 8%.",
    ),
    (
        "tiny-llama -f q8_0 --checksums in.gguf --force",
        1,
        "in.gguf is not a list of checksums, and is kept; choose another path with --checksums.",
    ),
    ("inspect -", 2, f"A model cannot be read from standard input; {WHAT_MODELS_ARE}"),
    ("tiny-llama -f q8_0, q4_0", 2, f"q4_0 {ONE_TOO_MANY}"),
    ("-- tiny-llama -f q8_0", 2, "-f comes after --, and options come before it."),
    # Formats as people call them.
    ("tiny-llama -f q4km", 2, "Unknown format 'q4km'; write q4_k_m."),
    ("tiny-llama -f q4-k-m", 2, "Unknown format 'q4-k-m'; write q4_k_m."),
    ("tiny-llama -f Q4_K_M.gguf", 2, "Unknown format 'Q4_K_M.gguf'; write q4_k_m."),
    ("tiny-llama -f tiny-llama-Q5_K_S.gguf", 2, "Unknown format 'tiny-llama-Q5_K_S.gguf'; write q5_k_s."),
    ("tiny-llama -f UD-IQ2_XXS", 2, "Unknown format 'UD-IQ2_XXS'; write iq2_xxs."),
    ("tiny-llama format=q8_0", 2, "Unknown format 'format=q8_0'; write q8_0."),
    ("tiny-llama -f=q8_0", 2, "Unknown format '=q8_0'; write q8_0."),
    ("tiny-llama -f q4", 2, "Unknown format 'q4'; for 4 bits a weight, choose q4_k_m."),
    ("tiny-llama -f 4bit", 2, "Unknown format '4bit'; for 4 bits a weight, choose q4_k_m."),
    ("tiny-llama -f 4", 2, "Unknown format '4'; for 4 bits a weight, choose q4_k_m."),
    ("tiny-llama -f int8", 2, "Unknown format 'int8'; for 8 bits a weight, choose q8_0."),
    ("tiny-llama -f fp16", 2, "Unknown format 'fp16'; choose f16."),
    ("tiny-llama -f awq", 2, f"Unknown format 'awq'; {OTHER_METHOD}"),
    ("tiny-llama -f gptq", 2, f"Unknown format 'gptq'; {OTHER_METHOD}"),
    ("tiny-llama -f nf4", 2, f"Unknown format 'nf4'; {OTHER_METHOD}"),
    (
        "tiny-llama -f nvfp4",
        2,
        "Unknown format 'nvfp4'; it is a type for --tensor-type, not a format; with about as many bits, choose q4_k_m.",
    ),
    (
        "tiny-llama -f UD-Q4_K_XL",
        2,
        "Unknown format 'UD-Q4_K_XL'; it is a mix of other people's; the nearest format is q4_k_m.",
    ),
    (
        "tiny-llama -f q4_k_l",
        2,
        "Unknown format 'q4_k_l'; people make it by --format q4_k_m --output-tensor-type q8_0 --token-embedding-type "
        "q8_0.",
    ),
    ("tiny-llama -f q4_k_n", 2, "Unknown format 'q4_k_n'; the nearest names are q4_k, q4_k_s, q4_k_m."),
    ("tiny-llama -f banana", 2, "Unknown format 'banana'; `quantize formats` lists all."),
    ("formats banana", 2, "Unknown format 'banana'; `quantize formats` lists all."),
    ("warm q4km", 2, "Unknown format 'q4km'; write q4_k_m."),
    ("tiny-llama -f q8_0 --output-tensor-type q4_k_m", 2, "Unknown type 'q4_k_m'; write q4_k."),
    ("tiny-llama -f q8_0 --output-tensor-type int8", 2, "Unknown type 'int8'; for 8 bits a weight, choose q8_0."),
    ("tiny-llama -f q8_0 --output-tensor-type q8_k", 2, "Unknown type 'q8_k'; the nearest names are q8_0, q6_k, q5_k."),
    # Options of other programs, and misspelt ones.
    ("tiny-llama --outtype q8_0", 2, f"--outtype is not an option; {WRITE_FORMAT}"),
    ("tiny-llama --bits 4", 2, f"--bits is not an option; {WRITE_FORMAT}"),
    ("tiny-llama --quant q4_k_m", 2, f"--quant is not an option; {WRITE_FORMAT}"),
    ("tiny-llama --type q4_k_m", 2, f"--type is not an option; {WRITE_FORMAT}"),
    ("tiny-llama -q q4_k_m", 2, f"-q is not an option; {WRITE_FORMAT}"),
    ("tiny-llama -f q8_0 --outfile x.gguf", 2, "--outfile is not an option; write --output PATH."),
    ("--model tiny-llama -f q8_0", 2, f"--model {MODEL_WITHOUT}"),
    ("-m tiny-llama -f q8_0", 2, f"-m {MODEL_WITHOUT}"),
    ("tiny-llama -f q8_0 --nthreads 4", 2, "--nthreads is not an option; write --threads N."),
    ("tiny-llama -f q8_0 -y", 2, "-y is not an option; write --force."),
    (
        "tiny-llama -f q8_0 --max-buffer-size 100",
        2,
        "--max-buffer-size is not an option; leave it out, because memory is bounded.",
    ),
    ("tiny-llama --frmat q8_0", 2, "--frmat is not an option; the nearest is --format."),
    ("tiny-llama --FORMAT q8_0", 2, "--FORMAT is not an option; the nearest is --format."),
    ("tiny-llama -f q8_0 --tensor_type a=q8_0", 2, "--tensor_type is not an option; the nearest is --tensor-type."),
    ("tiny-llama -f q8_0 --dryrun", 2, "--dryrun is not an option; the nearest is --dry-run."),
    ("tiny-llama -f q8_0 --zzz", 2, "--zzz is not an option; `quantize --help` shows all."),
    ("tiny-llama -f q8_0 -F", 2, "-F is not an option; the nearest is -f."),
    ("warm --format q8_0", 2, "--format is not an option of warm; it belongs to quantize MODEL."),
    ("formats --jsn", 2, "--jsn is not an option; the nearest is --json."),
    ("tiny-llama -format q8_0", 2, "-format is written with two dashes: --format."),
    (
        "tiny-llama \u2013format q8_0",
        2,
        "\u2013format begins with a dash of printed text; type - or -- in its place.",
    ),
    # Values.
    ("tiny-llama -f", 2, "-f needs a value; write -f NAME."),
    ("tiny-llama -f -o x.gguf", 2, "-f needs a value; write -f NAME."),
    ("tiny-llama -f q8_0 -o -f", 2, "-o needs a value; write -o PATH."),
    ("tiny-llama -f q8_0 --help=x", 2, "--help does not take a value; leave the value out."),
    ("tiny-llama -f q8_0 --imatrix", 2, "--imatrix needs a value; write --imatrix FILE."),
    ("tiny-llama -f q8_0 --pure=yes", 2, "--pure does not take a value; leave the value out."),
    ("tiny-llama -f q8_0 --threads many", 2, f"{THREADS} 'many'."),
    ("tiny-llama -f q8_0 -t 0", 2, f"{THREADS} '0'."),
    ("tiny-llama -f q8_0 -t 4.0", 2, f"{THREADS} '4.0'."),
    ("tiny-llama -f q8_0 -t 99999", 2, f"{THREADS} '99999'."),
    ("'' -f q8_0", 2, f"MODEL {EMPTY}"),
    ("tiny-llama -f ''", 2, f"--format {EMPTY}"),
    ("tiny-llama -f q8_0 -o ''", 2, f"--output {EMPTY}"),
    ("tiny-llama -f q8_0 --report ''", 2, f"--report {EMPTY}"),
    ("tiny-llama -f q8_0 --imatrix ''", 2, f"--imatrix {EMPTY}"),
    ("tiny-llama -f q8_0 --revision ''", 2, f"--revision {EMPTY}"),
    ("tiny-llama -f q8_0 --include-weights ''", 2, f"--include-weights {EMPTY}"),
    ("warm ''", 2, f"FORMAT {EMPTY}"),
]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


PRE = ("--pre-tokenizer", "gpt-2", "-t", "1")


@pytest.fixture(scope="module")
def typed(tmp_path_factory) -> dict[str, Result]:
    """Each of COMMANDS, run in one folder; the last entry tells what is in the folder then."""
    folder = tmp_path_factory.mktemp("newcomer")
    make_checkpoint(folder / "tiny-llama", num_hidden_layers=1)
    for name in ("My Model", "sub/big-llama"):
        shutil.copytree(folder / "tiny-llama", folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert invoke("tiny-llama", "-f", "bf16", "-o", "in.gguf", *PRE).exit_code == 0
        results = {line: invoke(*(word.strip("'") for word in line.split(" "))) for line, *_ in COMMANDS}
    assert names(folder) == ["My Model", "in.gguf", "sub", "tiny-llama"]
    return results


@pytest.mark.parametrize(("line", "code", "said"), COMMANDS, ids=[line for line, *_ in COMMANDS])
def test_the_right_line_is_told(line, code, said, typed):
    result = typed[line]
    assert (result.exit_code, sentence(result.stderr), result.stdout) == (code, said, "")


def test_each_command_is_tried_once():
    assert len({line for line, *_ in COMMANDS}) == len(COMMANDS) >= 90


# What is understood.


@pytest.mark.parametrize(
    "line",
    [
        "tiny-llama q8_0",
        "q8_0 tiny-llama",
        "Q8_0 tiny-llama",
        "tiny-llama tiny-llama-Q8_0.gguf q8_0",
        "tiny-llama tiny-llama-Q8_0.gguf Q8_0 1",
        "tiny-llama q8_0 1",
        "tiny-llama -fq8_0",
        "tiny-llama --format=q8_0,",
        "-f q8_0 -- tiny-llama",
        "model tiny-llama q8_0",
    ],
)
def test_the_same_job_in_other_words(line, quantize, work):
    make_checkpoint(work / "tiny-llama", num_hidden_layers=1)
    result = quantize(*PRE[:2], *line.split()) if line.startswith("-f") else quantize(*line.split(), *PRE[:2])
    assert result.exit_code == 0, result.stderr
    assert names(work) == ["tiny-llama", "tiny-llama-Q8_0.gguf"]


def test_formats_can_stand_behind_each_other(quantize, work):
    make_checkpoint(work / "tiny-llama", num_hidden_layers=1)
    for words in (("-f", "q8_0,bf16"), ("q8_0", "bf16"), ("-f", "q8_0", "-f", "bf16")):
        assert quantize("tiny-llama", *words, *PRE, "--force").exit_code == 0
        assert sorted(path.name for path in work.glob("*.gguf")) == ["tiny-llama-BF16.gguf", "tiny-llama-Q8_0.gguf"]
        for path in work.glob("*.gguf"):
            path.unlink()


def test_standard_output_can_be_a_word(work, llama):
    process = started(llama, "-", "q8_0", *PRE)
    assert process.communicate()[0][:4] == b"GGUF"
    assert process.returncode == 0


def test_a_folder_may_be_called_like_a_format_or_a_command(quantize, work):
    make_checkpoint(work / "q4_k_m", num_hidden_layers=1)
    shutil.copytree(work / "q4_k_m", work / "formats")
    for words in (("q4_k_m", "-f", "q8_0"), ("q4_k_m", "q8_0"), ("./formats", "-f", "q8_0"), ("./formats", "q8_0")):
        assert quantize(*words, *PRE, "--force").exit_code == 0
    assert sorted(path.name for path in work.glob("*.gguf")) == ["formats-Q8_0.gguf", "q4_k_m-Q8_0.gguf"]
    assert quantize("formats").stdout.startswith("format ")


def test_a_path_that_looks_like_a_hub_id_gets_near_names_too(quantize, work, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(work / "cache"))
    make_checkpoint(work / "sub" / "big-llama", num_hidden_layers=1)
    for model in ("sub/big-lama", "sub/big-lama/"):
        result = quantize(model, "-f", "q8_0")
        assert result.exit_code == 1
        assert sentence(result.stderr).endswith("; the nearest name here is sub/big-llama.")


def test_a_home_folder_is_found_after_an_equals_sign(quantize, llama, work, monkeypatch):
    # Kernels stay where they are, or a cache would be made in the new home.
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
    monkeypatch.setenv("HOME", str(work))
    assert quantize(llama, "-f", "q8_0", "--output=~/out.gguf", "--report=~/out.md", *PRE).exit_code == 0
    assert names(work) == ["out.gguf", "out.md"]
    shutil.copytree(llama, work / "mine")
    assert quantize("~/mine", "-f", "q8_0", *PRE).exit_code == 0
    assert (work / "mine-Q8_0.gguf").is_file()
    (work / "~").mkdir()
    assert "~ is empty" in sentence(quantize("~", "-f", "q8_0").stderr)


# A dry run.


@pytest.mark.parametrize("name", ["q4_k_m", "q8_0"])
def test_a_dry_run_shows_what_the_run_then_writes(name, quantize, llama, work):
    options = ("-f", name, "--tensor-type", "attn_v=q5_0", *PRE)
    result = quantize(llama, "--dry-run", "-o", "x", *options)
    assert result.exit_code == 0
    assert names(work) == []
    (size,) = re.findall(r"^([\d,]+) bytes \(.*\) would be written$", result.stdout, re.MULTILINE)
    assert re.search(r"^blk\.\*\.attn_v\.weight +Q5_0 +2 +\S+ KiB +asked for: Q5_0 where", result.stdout, re.MULTILINE)
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert quantize(llama, "-o", "x.gguf", *options).exit_code == 0
    assert (work / "x.gguf").stat().st_size == int(size.replace(",", ""))


def test_a_dry_run_tells_that_it_does_not_write_the_report(quantize, llama, work):
    result = quantize(llama, "-f", "q8_0", "--dry-run", "--report", "report.json", *PRE)
    assert result.exit_code == 0
    assert result.stderr == "warning: --report has no effect with --dry-run, which does not write any file.\n"
    assert names(work) == []


def test_a_dry_run_tells_faults_and_warnings(quantize, llama, work):
    result = quantize(llama, "-f", "iq2_xs", "--dry-run", *PRE)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "importance matrix" in sentence(result.stderr)
    result = quantize(llama, "-f", "q8_0", "--dry-run", "--prune-layers", "77", *PRE)
    assert result.stderr.startswith("warning: The model does not have layer 77")


# How it ends if something else goes wrong.


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            ValueError("of a\nlibrary"),
            1,
            f"An unexpected error ended {GENERATOR} (ValueError: of a library); please report it at {ISSUES} with the "
            "command and what it shows with --debug.",
        ),
        (
            type("PanicException", (BaseException,), {})("boom"),
            1,
            f"An unexpected error ended {GENERATOR} (PanicException",
        ),
        (RecursionError("maximum depth"), 1, "An unexpected error ended"),
        (MemoryError(), 1, "There is not enough memory; close other programs, or give fewer --threads."),
        (OSError(5, "Input/output error", "/x"), 1, "The system refused an operation on /x (Input/output error); "),
        (OSError(28, "No space left on device"), 1, "The system refused an operation (No space left on device); "),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
    ids=lambda value: repr(value) if isinstance(value, BaseException) else "",
)
def test_whatever_escapes_is_a_sentence(error, code, said, quantize, llama, monkeypatch):
    def fails(*_arguments, **_options):
        raise error

    monkeypatch.setattr("quantize_cli.api.quantize", fails)
    result = quantize(llama, "-f", "q8_0")
    assert result.exit_code == code
    assert sentence(result.stderr).startswith(said)
    shown = quantize(llama, "-f", "q8_0", "--debug").stderr
    assert shown.startswith("Traceback")
    assert said in shown.splitlines()[-1]


def test_reports_go_where_the_project_says():
    project = (app.__file__.rpartition("quantize_cli")[0]) + "pyproject.toml"
    with open(project) as file:  # noqa: PTH123
        assert f'Issues = "{ISSUES}"' in file.read()


# Where it is shown.


@pytest.mark.skipif(sys.platform == "win32", reason="the shell's syntax")
def test_a_reader_of_the_list_may_go_away(work):
    process = started("formats", command=("bash", "-c", 'set -o pipefail; "$@" | head -n 1', "bash", *_python()))
    out, err = process.communicate()
    assert (out.split()[:1], err) == ([b"format"], b"")
    assert process.returncode in (0, 141)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_behind_the_list_is_one_sentence(work):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        for command in ("formats", "--help", "--version"):
            process = started(command, stdout=full)
            said = sentence(process.communicate()[1].decode())
            assert "No space left on device" in said
            assert command == "--help" or said.startswith("Standard output cannot be written (")
            assert process.returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not remove a folder that is in use")
def test_a_current_folder_that_is_gone_does_not_matter_to_a_whole_path(llama, work):
    gone = work / "gone"
    gone.mkdir()
    run = ("sh", "-c", f'rmdir "{gone}" && exec "$@"', "sh", *COMMAND)
    process = started(llama, "-f", "q8_0", "--dry-run", *PRE, command=run, cwd=gone)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"bytes (" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
        {"TERM": "dumb", "NO_COLOR": "1"},
        {"COLUMNS": "40"},
        {"COLUMNS": "0"},
    ],
)
def test_any_terminal_will_do(variables, work):
    """A name that is not ASCII, on a terminal that may not have its characters."""
    folder = make_checkpoint(work / "m\u00fcdel-\u6a21\u578b", num_hidden_layers=1)
    environment = {**os.environ, **variables}
    for arguments in (
        (folder, "-f", "q8_0", "--dry-run"),
        (folder, "-f", "q8_0", "--force"),
        ("--help",),
        ("formats",),
    ):
        process = started(*arguments, *(PRE if arguments[0] is folder else ()), env=environment)
        told = b"".join(process.communicate())
        assert process.returncode == 0, told
        assert told
        assert b"\x1b" not in told
    process = started(f"{folder}x", "-f", "q8_0", env=environment)
    assert sentence(process.communicate()[1].decode()).startswith("/")
    assert process.returncode == 1


def _python() -> tuple[str, ...]:
    return (sys.executable, "-m", "quantize_cli")


def test_no_name_from_a_file_reaches_the_terminal_as_it_is(monkeypatch):
    told: list[str] = []
    monkeypatch.setattr(console.click, "echo", lambda line, **_options: told.append(line))
    lines = progress._Lines()
    lines.noted("a\x1b[31mb\nc")
    lines.tensor_started(type("Tensor", (), {"name": "x\x1b]0;t\x07", "type": "Q8_0"})())
    assert told == ["a?[31mb?c", "x?]0;t?"]
