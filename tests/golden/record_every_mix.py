"""Record what llama-quantize makes of the small GGUF files, with every mix and every option.

    PYTHONPATH=tests python -m golden.record_every_mix TOOLS WORK [GROUP ...]

TOOLS holds llama-quantize and llama-gguf-split, WORK is an empty scratch folder. Writes
tests/golden/every_mix/records/GROUP.json for each of the groups named, all of them where none is; PROVENANCE.md beside
them says how the tools are built.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from golden.compact import summary
from golden.gguf_sources import LONG_FOLDER, build_everything, hashes
from golden.record import Record, record

RECORDS = Path(__file__).resolve().parent / "every_mix" / "records"

#: llama-quantize's own list, less the second names of three, and less COPY.
FORMATS = (
    *("q1_0", "q2_0", "q4_0", "q4_1", "mxfp4_moe", "q5_0", "q5_1", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq1_s"),
    *("iq1_m", "tq1_0", "tq2_0", "q2_k", "q2_k_s", "iq3_xxs", "iq3_s", "iq3_m", "iq3_xs", "q3_k_s", "q3_k_m", "q3_k_l"),
    *("iq4_nl", "iq4_xs", "q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k", "q8_0", "f16", "bf16", "f32"),
)
QWEN_MIXES = ("q4_k_m", "iq3_xxs", "iq2_xs", "mxfp4_moe", "q2_k_s", "iq1_m")
#: Those with rules of Falcon's own, for attn_qkv, or for an importance matrix, and some others.
FALCON_MIXES = (
    *("q2_k", "q2_k_s", "q3_k_s", "q3_k_m", "q3_k_l", "q4_0", "q4_k_s", "q4_k_m", "q5_0", "q5_k_m", "q6_k", "q8_0"),
    *("iq1_s", "iq2_xxs", "iq2_s", "iq3_xxs", "iq3_xs", "iq3_s", "iq3_m", "iq4_nl", "iq4_xs", "tq1_0", "mxfp4_moe"),
)
LLAMA_80_MIXES = ("q2_k", "q3_k_s", "q3_k_m", "q4_k_s", "q4_k_m", "q5_k_m", "iq3_s", "iq4_xs", "q4_0")
#: Those that cannot do without an importance matrix.
NEEDY = ("iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq1_s", "iq1_m", "q2_k_s", "iq3_xxs", "iq3_xs")

#: What to look for in what llama-quantize says when it gives up, the most telling first.
LAST_WORDS = ("failed to quantize: (.*)", "(GGML_ASSERT.*)", "(found invalid .*)", "(failed to load.*)", "(invalid .*)")


@dataclass(frozen=True)
class Case:
    """One command: its options have the same names in llama-quantize and here."""

    name: str
    source: str  #: a file of `build_everything`, or made/CASE.gguf: what that case of dense-256 gives
    format: str
    options: tuple[str, ...] = ()


def case(name: str, source: str, format_name: str, options: str = "") -> Case:
    """A case whose options hold no spaces."""
    return Case(name, f"{source}.gguf", format_name, tuple(options.split()))


def imatrix(source: str) -> str:
    """The option that names the source's importance matrix."""
    return f"--imatrix {source}.imatrix.gguf"


def mixes(source: str, wanted: Iterable[str]) -> Iterator[Case]:
    """Every mix of a source, without an importance matrix and with."""
    for mix in wanted:
        yield case(mix, source, mix)
        yield case(f"{mix}-imatrix", source, mix, imatrix(source))


def legacy(source: str, wanted: Iterable[str]) -> Iterator[Case]:
    """Importance matrices of the old kind."""
    return (case(f"{mix}-legacy", source, mix, f"--imatrix {source}.imatrix.dat") for mix in wanted)


def numbered(prefix: str, source: str, rows: Iterable[tuple[str, str]]) -> Iterator[Case]:
    """Cases that differ in little: prefix-1, prefix-2 ..."""
    return (case(f"{prefix}-{number}", source, *row) for number, row in enumerate(rows, 1))


IM = imatrix("dense-256")


def type_options() -> Iterator[Case]:
    """--pure, --leave-output-tensor, and the options that give tensors types."""
    yield from numbered(
        "pure",
        "dense-256",
        [
            ("q4_k_m", "--pure"),
            ("q6_k", "--pure"),
            ("iq4_xs", "--pure"),
            ("tq1_0", "--pure"),
            ("mxfp4_moe", "--pure"),  # refused: values too small for its scales
            ("q3_k_l", f"--pure {IM}"),
            ("iq3_s", f"--pure {IM}"),
            ("iq2_xs", f"--pure {IM}"),  # refused: matrices that need importance have none
            ("f16", "--pure"),
            ("q4_k_m", "--pure --token-embedding-type q8_0 --output-tensor-type q6_k"),
            ("q4_k_m", "--pure --tensor-type attn_v=q8_0"),
            ("q2_k_s", f"--pure --tensor-type attn_v=q4_k {IM}"),
        ],
    )
    yield from numbered(
        "pure-odd",
        "dense-odd",
        [("q4_k_m", "--pure"), ("iq3_s", "--pure"), ("q6_k", "--pure"), ("tq2_0", "--pure"), ("q1_0", "--pure")],
    )
    yield from numbered(
        "leave-output",
        "dense-256",
        [
            ("q4_k_m", "--leave-output-tensor"),
            ("q8_0", "--leave-output-tensor"),
            ("q4_k_m", "--leave-output-tensor --output-tensor-type q8_0"),
            ("q4_k_m", "--leave-output-tensor --pure"),
        ],
    )
    yield from numbered("leave-output-odd", "dense-odd", [("q4_k_m", "--leave-output-tensor")])
    yield from numbered(
        "output-type",
        "dense-256",
        [
            ("q4_k_m", "--output-tensor-type q8_0"),
            ("q4_k_m", "--output-tensor-type F16"),
            ("q8_0", "--output-tensor-type q4_k"),
            ("f16", "--output-tensor-type q8_0"),
            ("iq2_m", f"--output-tensor-type iq2_xxs {IM}"),
            ("mxfp4_moe", "--output-tensor-type mxfp4"),  # refused like that
            ("q4_k_m", "--output-tensor-type nvfp4"),
        ],
    )
    yield from numbered(
        "output-type-odd",
        "dense-odd",
        [("q4_k_m", "--output-tensor-type q5_1"), ("q4_k_m", "--output-tensor-type q6_k")],
    )
    yield from numbered(
        "embedding-type",
        "dense-256",
        [
            ("q4_k_m", "--token-embedding-type q3_k"),
            ("q8_0", "--token-embedding-type f32"),
            ("q2_k", "--token-embedding-type iq4_nl --output-tensor-type q5_0"),
            ("bf16", "--token-embedding-type q8_0"),
        ],
    )
    yield from numbered(
        "embedding-type-odd",
        "dense-odd",
        [
            ("q4_k_m", "--token-embedding-type q5_0"),
            ("q4_k_m", "--token-embedding-type q3_k"),  # refused: rows of 288
            ("q8_0", "--token-embedding-type f16 --output-tensor-type q4_0"),
        ],
    )
    yield from numbered("embedding-type-moe", "moe", [("iq3_xxs", f"--token-embedding-type q6_k {imatrix('moe')}")])


def tensor_types() -> Iterator[Case]:
    """--tensor-type: regular expressions of lower case, the first that is found counts, mixes' rules count the rest."""
    yield from numbered(
        "tensor-type",
        "dense-256",
        [
            ("q4_k_m", "--tensor-type attn_v=q8_0"),
            ("q4_k_m", r"--tensor-type blk\.[0-3]\.ffn_down=q5_k --tensor-type ffn_down=iq4_nl"),
            ("q4_k_m", r"--tensor-type ffn_down=iq4_nl --tensor-type blk\.[0-3]\.ffn_down=q5_k"),
            ("q4_k_m", "--tensor-type ffn_up=nvfp4 --tensor-type ffn_gate=mxfp4 --tensor-type ffn_down=tq2_0"),
            ("q8_0", "--tensor-type ffn_up=q1_0 --tensor-type attn=Q2_0 --tensor-type ffn_gate=tq1_0"),
            ("iq4_xs", "--tensor-type ATTN_Q=F16 --tensor-type attn_k=bf16 --tensor-type attn_output=F32"),
            ("q4_k_m", r"--tensor-type attn_(q|k)\.weight$=q6_k --tensor-type ^output=q5_1"),
            ("q4_k_m", "--tensor-type ^(?!blk).*=q8_0 --tensor-type token=q2_k"),
            ("q4_k_m", r"--tensor-type blk\.(1|3|10)\.=q3_k"),
            ("q3_k_m", r"--tensor-type blk\.[[:digit:]]\.attn_v=q8_0"),
            ("q5_k_m", r"--tensor-type \D\.ffn_up=q4_1"),  # its capital becomes small, another class
            ("q2_k_s", f"--tensor-type ffn_down=iq2_xs --tensor-type attn_v=iq3_s {IM}"),
            ("q4_k_m", "--tensor-type ffn_down=iq2_xs"),  # refused: needs an importance matrix
            ("iq1_m", f"--tensor-type ffn_(up|gate)=iq1_s --tensor-type attn_output=iq2_s {IM}"),
            ("f16", "--tensor-type attn_v=q8_0"),  # without effect
            ("q4_k_m", "--tensor-type nothing_of_this_name=q8_0"),
            ("q4_k_m", "--tensor-type attn_norm=q8_0"),  # vectors stay
            ("q4_k_m", "--tensor-type output=q8_0 --output-tensor-type q5_k --token-embedding-type q5_1"),
            ("q4_k_m", "--tensor-type attn_v=q9_0"),  # refused
            ("q4_k_m", "--tensor-type-file tensor-types.txt"),
            ("q4_k_m", "--tensor-type attn_v=q4_0 --tensor-type-file tensor-types.txt"),
            ("q4_k_m", "--tensor-type-file tensor-types.txt --tensor-type attn_v=q4_0 --tensor-type ffn_up=q5_0"),
        ],
    )
    yield from numbered(
        "tensor-type-odd",
        "dense-odd",
        [
            ("q4_k_m", "--tensor-type attn_v=q6_k --tensor-type ffn_down=q8_0 --tensor-type attn_q=mxfp4"),
            ("q4_k_m", "--tensor-type attn_v=nvfp4"),
            ("q4_k_m", "--tensor-type attn_q=nvfp4"),
            ("q4_k_m", "--tensor-type attn_output=q1_0 --tensor-type attn_v=q2_0 --tensor-type attn_q=q2_0"),
            ("q4_k_m", "--tensor-type attn_q=q1_0"),  # refused: no fallback
        ],
    )
    yield from numbered(
        "tensor-type-moe",
        "moe",
        [
            ("q4_k_m", f"--tensor-type ffn_down_exps=q6_k --tensor-type attn_k=q4_k {imatrix('moe')}"),
            ("mxfp4_moe", "--tensor-type ffn_up_exps=nvfp4"),
        ],
    )


def importance_options() -> Iterator[Case]:
    """--include-weights, --exclude-weights, and what of an importance matrix's names is kept."""
    yield from numbered(
        "include",
        "dense-256",
        [
            ("q4_k_m", f"{IM} --include-weights ffn_down"),
            ("q4_k_m", f"{IM} --include-weights attn_v --include-weights ffn_down --include-weights blk.1"),
            ("q4_k_m", f"{IM} --include-weights nothing"),
            ("iq4_nl", f"{IM} --include-weights nothing"),
        ],
    )
    yield from numbered(
        "exclude",
        "dense-256",
        [
            ("q4_k_m", f"{IM} --exclude-weights ffn_"),
            ("q4_0", f"{IM} --exclude-weights blk.0.ffn_down --exclude-weights attn_v"),
            ("iq2_xs", f"{IM} --exclude-weights ffn_up"),  # refused
            ("q4_k_m", f"{IM} --exclude-weights weight"),
            ("q4_k_m", f"{IM} --include-weights ffn --exclude-weights attn"),  # refused
        ],
    )
    yield from numbered(
        "imatrix-names",
        "dense-256",
        [
            ("q4_k_m", f"--imatrix {LONG_FOLDER}/imatrix.gguf"),
            ("q4_k_m", "--imatrix ./dense-256.imatrix.gguf"),
            ("q4_k_m", "--imatrix dense-256.names.imatrix.gguf"),
        ],
    )
    yield from numbered(
        "imatrix-other",
        "dense-256",
        [
            ("q4_k_m", "--imatrix dense-odd.imatrix.gguf"),  # refused: another model's
            ("q4_k_m", "--imatrix dense-256.gguf"),  # refused: no importance matrix
            ("q4_k_m", "--imatrix absent.gguf"),
        ],
    )


def metadata_options() -> Iterator[Case]:
    """--prune-layers and --override-kv."""
    yield from numbered(
        "prune",
        "dense-256",
        [
            ("q4_k_m", "--prune-layers 1,3"),
            ("q4_k_m", f"--prune-layers 1,3 {IM}"),
            ("q3_k_m", "--prune-layers 0,10"),
            ("iq2_s", f"--prune-layers 9,2,0,2 {IM}"),
            ("q4_k_m", "--prune-layers 5 --tensor-type blk.5.ffn_down=q8_0"),
            ("q4_k_m", "--prune-layers 77"),
            ("f16", "--prune-layers 2,3,4,5,6,7,8"),
            ("q4_k_m", "--prune-layers x"),  # refused
        ],
    )
    yield from numbered("prune-moe", "moe", [("q4_k_m", f"--prune-layers 1,3 {imatrix('moe')}")])
    yield from numbered(
        "override",
        "dense-256",
        [
            ("q4_k_m", "--override-kv general.name=str:Other-Name"),
            ("q4_k_m", "--override-kv llama.rope.freq_base=float:500000.25"),
            ("q4_k_m", "--override-kv llama.context_length=int:4096"),
            ("q4_k_m", "--override-kv test.uint8=int:7 --override-kv new.key=int:-5 --override-kv new.key=int:6"),
            ("q4_k_m", "--override-kv new.flag=bool:true --override-kv test.bool=bool:false"),
            ("q8_0", "--override-kv new.float=float:1e-3 --override-kv new.empty=str: --override-kv new.a=str:ü=b:c"),
            ("q4_k_m", "--override-kv general.file_type=int:1 --override-kv general.quantization_version=int:3"),
            ("q2_k", "--override-kv llama.attention.head_count_kv=int:4"),  # attn_v's type depends on it
            ("q4_k_m", "--override-kv llama.block_count=int:22"),
            ("q4_k_m", f"{IM} --override-kv quantize.imatrix.file=str:hidden --override-kv general.name=str:N"),
            ("q4_k_m", "--override-kv test.strings=str:no-longer-many"),
            ("q4_k_m", f"--override-kv new.key=str:{'x' * 127}"),
            ("q4_k_m", f"--override-kv new.key=str:{'x' * 128}"),  # refused
            ("q4_k_m", "--override-kv new.key=bool:maybe"),  # refused
            ("q4_k_m", "--override-kv new.key=5"),  # refused
        ],
    )
    yield from numbered("override-moe", "moe", [("iq2_s", f"--override-kv llama.expert_count=int:3 {imatrix('moe')}")])
    yield from numbered(
        "prune-override",
        "dense-256",
        [("q4_k_m", "--prune-layers 1,3 --override-kv llama.block_count=int:9 --override-kv general.name=str:N")],
    )


def splits() -> Iterator[Case]:
    """Several files in, several files out."""
    source = "dense-256-00001-of-00004"
    yield from numbered(
        "split",
        source,
        [
            ("q4_k_m", ""),
            ("iq3_m", IM),
            ("q4_k_m", "--keep-split"),
            ("iq3_m", f"--keep-split {IM}"),
            ("f16", "--keep-split --override-kv general.name=str:N"),
            ("q4_k_m", "--keep-split --prune-layers 1,3"),
        ],
    )
    yield case("split-second", "dense-256-00002-of-00004", "q4_k_m")  # refused: not the first
    yield from numbered("keep-single", "dense-256", [("q4_k_m", "--keep-split")])
    yield from numbered(
        "split-max-size",
        "dense-256",
        [("f32", "--split-max-size 1M"), ("bf16", "--split-max-size 1M"), ("q4_k_m", "--split-max-size 1G")],
    )
    yield from numbered("split-max-size-wide", "moe-wide", [("q8_0", "--split-max-size 1M")])


def requantized() -> Iterator[Case]:
    """Quantized files in. To F32 is what the reference decodes; other types are copied, or quantized again."""
    for mix in FORMATS:
        made = f"{mix}-imatrix" if mix in NEEDY else mix
        yield case(f"decode-{mix}", f"made/{made}", "f32", "--allow-requantize")
    for made in ("tensor-type-4", "tensor-type-5"):
        yield case(f"decode-{made}", f"made/{made}", "f32", "--allow-requantize")
    requantize = "--allow-requantize"
    for made, rows in {
        "q8_0": [
            ("q4_k_m", requantize),
            ("q4_k_m", ""),  # refused
            ("q8_0", ""),
            ("q8_0", f"{requantize} {IM}"),
            ("iq4_xs", f"{requantize} {IM}"),
            ("f16", requantize),
            ("f16", ""),  # refused
            ("q2_k", f"{requantize} --leave-output-tensor"),
        ],
        "q4_k_m": [
            ("q4_k_m", ""),
            ("q4_k_m", requantize),
            ("q8_0", requantize),
            ("q8_0", ""),  # refused
            ("q4_k_m", f"{requantize} --pure"),
            ("iq2_xs", f"{requantize} {IM}"),
            ("q4_k_s", f"{requantize} --tensor-type attn=q4_k"),
            ("bf16", requantize),
        ],
        "q4_k_m-imatrix": [("q5_k_m", requantize), ("q5_k_m", f"{requantize} {IM}")],  # metadata of importance in it
    }.items():
        yield from numbered(f"from-{made}", f"made/{made}", rows)


def architectures() -> Iterator[Case]:
    """Rules for single architectures, and names that have rules."""
    for mix in FALCON_MIXES:
        yield case(f"falcon-{mix}-imatrix", "falcon", mix, imatrix("falcon"))
    for mix in LLAMA_80_MIXES:
        yield case(f"llama-80-{mix}", "llama-80", mix)
    named = ("q4_k_m", "q8_0", "f16", "f32", "iq2_s", "iq3_m", "mxfp4_moe")
    yield from (case(f"names-{mix}-imatrix", "names", mix, imatrix("names")) for mix in named)
    yield from numbered(
        "names",
        "names",
        [
            ("q4_k_m", "--token-embedding-type q5_1"),
            ("q4_k_m", "--token-embedding-type q5_1 --tensor-type per_layer_token_embd=q4_0"),
            ("q4_k_m", "--output-tensor-type q5_1"),
            ("q4_k_m", "--tensor-type token_embd=q4_0 --tensor-type altup=q8_0"),
            ("q4_k_m", f"--pure {imatrix('names')}"),
            ("q4_k_m", "--leave-output-tensor"),
        ],
    )


GROUPS: dict[str, tuple[Case, ...]] = {
    "dense-256": (
        *mixes("dense-256", FORMATS),
        *legacy("dense-256", ("q4_k_m", "iq2_xxs", "q4_0")),
        *type_options(),
        *tensor_types(),
        *importance_options(),
        *metadata_options(),
    ),
    "dense-odd": tuple(mixes("dense-odd", FORMATS)),
    "moe": (*mixes("moe", FORMATS), *legacy("moe", ("iq3_xxs",))),
    "moe-qwen": tuple(mixes("moe-qwen", QWEN_MIXES)),
    "moe-wide": tuple(mixes("moe-wide", ("q4_k_m", "q8_0", "iq4_nl"))),
    "architectures": tuple(architectures()),
    "splits": tuple(splits()),
    "requantized": tuple(requantized()),
}


def quantize(tools: Path, work: Path, wanted: Case, output: Path) -> str | None:
    """Run llama-quantize; what it says where it gives up."""
    options = list(wanted.options)
    split = options.index("--split-max-size") if "--split-max-size" in options else None
    limit = options.pop(split + 1) if split is not None else None
    if split is not None:
        options.pop(split)
    command: list[str | Path] = [tools / "llama-quantize", *options, wanted.source, output, wanted.format, "2"]
    said = subprocess.run(command, cwd=work, capture_output=True, check=False)
    if said.returncode != 0:
        return reason(said.stderr.decode(errors="replace") + said.stdout.decode(errors="replace"), said.returncode)
    if limit is not None:
        command = [tools / "llama-gguf-split", "--split-max-size", limit, output, output.with_suffix("")]
        subprocess.run(command, cwd=work, capture_output=True, check=True)
        output.unlink()
    return None


def reason(said: str, status: int) -> str:
    """The words that tell most."""
    for words in LAST_WORDS:
        if found := re.search(words, said):
            return found[1].strip()
    return f"exit status {status}"


def recorded(tools: Path, work: Path, wanted: Case) -> Record:
    """The record of one case."""
    folder = work / "output"
    folder.mkdir()
    refused = quantize(tools, work, wanted, folder / "out.gguf")
    found: Record = {"source": wanted.source, "format": wanted.format, "options": wanted.options}
    if refused is not None:
        found["refused"] = refused
    else:
        source_kv = record(work / wanted.source)["kv"]
        found["files"] = {path.name: summary(path, source_kv) for path in sorted(folder.iterdir())}
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    return found


def make(tools: Path, work: Path, name: str) -> None:
    """Make the source made/NAME.gguf, the file of the case NAME of dense-256."""
    output = work / "made" / f"{name}.gguf"
    if not output.exists():
        (wanted,) = (one for one in GROUPS["dense-256"] if one.name == name)
        output.parent.mkdir(exist_ok=True)
        refused = quantize(tools, work, wanted, output)
        if refused is not None:
            raise RuntimeError(f"{name}: {refused}")


def dumps(inputs: dict[str, str], cases: dict[str, Record]) -> str:
    """JSON with a line for each case."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(found)}" for name, found in cases.items())
    return f' "inputs": {json.dumps(inputs, indent=2)},\n "cases": {{\n{lines}\n }}'.join(("{\n", "\n}\n"))


def main() -> None:
    """Make the records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tools", type=Path, help="the folder of llama-quantize and llama-gguf-split")
    parser.add_argument("work", type=Path, help="scratch folder, empty")
    parser.add_argument("groups", nargs="*", default=list(GROUPS))
    args = parser.parse_args()
    tools, work = args.tools.resolve(), args.work.resolve()
    work.mkdir(parents=True)
    build_everything(work)
    inputs = hashes(work)
    RECORDS.mkdir(exist_ok=True, parents=True)
    for group in args.groups:
        cases = {}
        for wanted in GROUPS[group]:
            if wanted.source.startswith("made/"):
                make(tools, work, Path(wanted.source).stem)
            cases[wanted.name] = recorded(tools, work, wanted)
        assert len(cases) == len(GROUPS[group])
        (RECORDS / f"{group}.json").write_text(dumps(inputs, cases))


if __name__ == "__main__":
    main()
