"""Imports point one way: from what a person sees down to arrays and bytes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import quantize_cli

PACKAGE = Path(quantize_cli.__file__).parent

#: Room -> the rooms that its files may import beside itself. A room is a folder of the package with all that is in it,
#: or a module at the top. Upper lines may use lower ones, never the reverse; no file stands on another floor than its
#: room.
ALLOWED = {
    "__main__": {"cli"},
    "cli": {
        "api",
        "architectures",
        "calibrate",
        "checkpoints",
        "errors",
        "evaluation",
        "health",
        "mixes",
        "observer",
        "outputs",
        "report",
        "run",
        "tasks",
        "version",
    },
    "health": {"checkpoints", "mixes", "outputs", "run", "simd", "version"},
    "tasks": {"errors", "gates", "keywords"},
    "api": {
        "advice",
        "checkpoints",
        "errors",
        "inspection",
        "job",
        "keywords",
        "mixes",
        "observer",
        "planning",
        "previews",
        "report",
        "verification",
    },
    "job": {
        "checkpoints",
        "choosing",
        "errors",
        "gates",
        "hub_upload",
        "importance",
        "keywords",
        "mixes",
        "observer",
        "outputs",
        "planning",
        "report",
        "run",
        "tokenizers",
    },
    "choosing": {"calibrate", "checkpoints", "errors", "methods", "observer", "outputs", "planning", "sensitivity"},
    "verification": {
        "checkpoints",
        "errors",
        "gguf_file",
        "importance",
        "keywords",
        "mixes",
        "observer",
        "planning",
        "run",
    },
    "advice": {
        "architectures",
        "checkpoints",
        "errors",
        "gguf_file",
        "inspection",
        "mixes",
        "observer",
        "planning",
        "report",
        "version",
    },
    "keywords": {"errors", "gates", "importance", "methods", "mixes", "planning", "sensitivity", "tokenizers"},
    "hub_upload": {"checkpoints", "errors", "gguf_file", "observer", "report"},
    "report": {
        "errors",
        "evaluation",
        "gates",
        "gguf_file",
        "measure",
        "methods",
        "outputs",
        "planning",
        "sensitivity",
        "texts",
        "version",
    },
    "gates": {"errors", "measure", "planning"},
    "previews": {
        "architectures",
        "checkpoints",
        "errors",
        "gguf_file",
        "inspection",
        "methods",
        "mixes",
        "planning",
        "run",
        "version",
    },
    "inspection": {"architectures", "checkpoints", "errors", "gguf_file", "mixes", "planning", "version"},
    "calibrate": {
        "architectures",
        "blocks",
        "checkpoints",
        "errors",
        "evaluation",
        "gguf_file",
        "importance",
        "methods",
        "mixes",
        "observer",
        "outputs",
        "planning",
        "run",
        "sensitivity",
        "texts",
        "version",
    },
    "run": {
        "architectures",
        "blocks",
        "checkpoints",
        "errors",
        "gguf_file",
        "importance",
        "interrupts",
        "measure",
        "methods",
        "mixes",
        "observer",
        "outputs",
        "planning",
        "simd",
        "version",
    },
    "methods": {"architectures", "blocks", "evaluation", "outputs", "planning", "sensitivity", "simd"},
    "evaluation": {"errors", "gguf_file", "texts"},
    "literature": set(),
    "planning": {
        "architectures",
        "checkpoints",
        "errors",
        "gguf_file",
        "importance",
        "mixes",
        "sensitivity",
        "version",
    },
    "sensitivity": {"checkpoints", "errors", "gguf_file", "importance", "outputs", "texts"},
    "texts": {"checkpoints", "errors", "gguf_file", "tokenizers"},
    "architectures": {"checkpoints", "errors", "gguf_file", "tokenizers"},
    "mixes": {"errors", "gguf_file"},
    "importance": {"checkpoints", "errors", "gguf_file"},
    "tokenizers": {"checkpoints", "errors", "gguf_file"},
    "checkpoints": {"errors", "gguf_file", "observer"},
    "blocks": {"gguf_file", "simd"},
    "measure": {"simd"},
    "simd": set(),
    "gguf_file": {"errors"},
    "observer": set(),
    "outputs": {"errors", "interrupts"},
    "interrupts": set(),
    "errors": set(),
    "version": set(),
    "__init__": {
        "advice",
        "api",
        "checkpoints",
        "errors",
        "importance",
        "inspection",
        "mixes",
        "observer",
        "planning",
        "previews",
        "report",
        "tasks",
        "verification",
        "version",
    },
}

#: Imports for type checkers alone, which nothing executes.
ANNOTATIONS_ONLY = {
    ("cli", "advice"),
    ("cli", "inspection"),
    ("cli", "planning"),
    ("cli", "previews"),
    ("cli", "sensitivity"),
    ("cli", "verification"),
    ("observer", "planning"),
    ("observer", "report"),
}

#: What only these rooms may import: the library stays usable without a command line, a hub and a compiler's start-up.
HEAVY = {
    "click": {"cli"},
    "rich": {"cli", "report"},
    "tqdm": {"cli", "checkpoints"},
    "huggingface_hub": {"checkpoints", "hub_upload"},
    "tokenizers": {"tokenizers"},
    "jinja2": {"tokenizers"},
    "safetensors": {"checkpoints"},
    "numba": {"simd"},
    "torch": {"calibrate"},
    "transformers": {"calibrate"},
    "resource": {"report", "tokenizers"},
}


def part_of(module: str) -> str:
    """The room that a module of the package stands in: "blocks.k.q4_k" -> "blocks"."""
    return module.split(".")[0]


@cache
def modules() -> dict[str, ast.Module]:
    """Name -> what the module holds."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def _imports(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((f"{node.module}.{alias.name}", id(node) in for_types) for alias in node.names)


@cache
def imports(name: str) -> list[tuple[str, bool]]:
    """Absolute names of what is imported anywhere in a module, and whether for type checkers alone."""
    return list(_imports(modules()[name]))


def inner_edges() -> Iterator[tuple[str, str, str, bool]]:
    """(module, its part, the part that it imports, for type checkers alone), within the package."""
    for name, target, for_types in inner_imports():
        yield name, part_of(name), part_of(target or "__init__"), for_types


def inner_imports() -> Iterator[tuple[str, str, bool]]:
    """(module, the module that it imports, for type checkers alone), within the package."""
    for name in modules():
        for imported, for_types in imports(name):
            if imported.split(".")[0] != "quantize_cli":
                continue
            target = imported.removeprefix("quantize_cli").removeprefix(".")
            while target and target not in modules():
                target = target.rpartition(".")[0]
            yield name, target, for_types


def test_every_part_stands_in_the_table():
    assert {part_of(name) for name in modules()} == set(ALLOWED)


def test_imports_point_one_way():
    wrong = [
        f"{module} imports {target}"
        for module, part, target, for_types in inner_edges()
        if target != part and target not in ALLOWED[part] and not (for_types and (part, target) in ANNOTATIONS_ONLY)
    ]
    assert wrong == []


def test_the_table_allows_nothing_that_nobody_needs():
    used = {(part, target) for _, part, target, _ in inner_edges() if part != target}
    allowed = {(part, target) for part, targets in ALLOWED.items() for target in targets}
    assert allowed - used == set()


def test_the_table_has_no_circles():
    """The lines stand in order: each may use only lines below it."""
    lines = [part for part in ALLOWED if part != "__init__"]
    upward = [(part, target) for part in lines for target in ALLOWED[part] if lines.index(target) <= lines.index(part)]
    assert upward == []


@pytest.mark.parametrize("library", HEAVY)
def test_heavy_libraries_stay_in_their_parts(library):
    users = {part_of(name) for name in modules() for found, _ in imports(name) if found.split(".")[0] == library}
    assert users == HEAVY[library]


def test_what_reads_untrusted_tokenizers_runs_in_a_process_of_its_own():
    """The library that a damaged file can crash is imported in `tokenizers/child/` alone, which has a process."""
    users = {name for name in modules() for found, _ in imports(name) if found.split(".")[0] == "tokenizers"}
    assert users
    assert all(name.startswith("tokenizers.child.") for name in users)
    callers = {name for name, target, _ in inner_imports() if target.startswith("tokenizers.child.")}
    assert {name for name in callers if not name.startswith("tokenizers.child")} == {"tokenizers.sandbox"}


def test_the_library_neither_prints_nor_exits():
    forbidden = {"print", "exit", "quit", "input", "eval", "exec", "breakpoint"}
    found = [
        f"{name}:{node.lineno} {ast.unparse(node.func)}"
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if name not in ("__main__", "cli.stopping")  # a script, and a second signal
        and isinstance(node, ast.Call)
        and ast.unparse(node.func) in forbidden | {"sys.exit", "os._exit", "os.system"}
    ]
    assert found == []


def test_planning_needs_neither_kernels_nor_the_hub():
    """What is known from headers is known without a compiler: the plan, the list of formats, the report's types."""
    code = (
        "import sys; from quantize_cli.planning import planner; from quantize_cli.mixes import catalogue; "
        "from quantize_cli.report import model; catalogue.catalogue(); "
        "heavy = {'numba', 'llvmlite', 'gguf', 'torch', 'huggingface_hub', 'ml_dtypes'}; "
        "print(*{name.split('.')[0] for name in sys.modules} & heavy)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_logic_stands_in_named_files():
    """An __init__ has a docstring, and names of other files at most; the top's looks its names up on first use."""
    full = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("__init__.py")
        if path.parent != PACKAGE
        and any(not isinstance(node, (ast.ImportFrom, ast.Assign)) for node in ast.parse(path.read_text()).body[1:])
    ]
    assert full == []


def test_the_package_itself_costs_nothing():
    code = "import sys, quantize_cli; print(*{name.split('.')[0] for name in sys.modules} & {'numpy', 'numba', 'gguf'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_the_public_names_can_be_imported():
    for name in quantize_cli.__all__:
        assert getattr(quantize_cli, name) is not None
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        quantize_cli.nothing_of_the_kind  # noqa: B018
