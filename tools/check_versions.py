"""Convert the example with the lowest and with the newest versions that pyproject.toml allows.

    python tools/check_versions.py [lowest | newest]

pip installs each set of versions into an environment of its own, in a temporary folder. The converted files must equal
the recorded ones, byte for byte. Without an argument, it tries both sets.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections.abc import Callable, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "shakespeare-llama"
GOLDEN = ROOT / "tests" / "golden" / EXAMPLE.name
FORMATS = ("q4_k_m", "iq4_xs")

#: Commands without a model: together they load what a conversion does not.
COMMANDS = (("--version",), ("--help",), ("formats",), ("formats", "--json"))


def dependencies(pyproject: Path, extra: str | None = None) -> tuple[Requirement, ...]:
    """Read what a project needs at run time, or what an extra of it adds to that."""
    project = tomllib.loads(pyproject.read_text())["project"]
    return tuple(map(Requirement, project["optional-dependencies"][extra] if extra else project["dependencies"]))


def lowest(requirement: Requirement) -> Requirement:
    """Narrow a requirement to the lowest version that it allows.

    Raises:
        ValueError: It has no lower bound, or more than one.
    """
    bounds = [part.version for part in requirement.specifier if part.operator in {">=", "=="}]
    if len(bounds) != 1:
        raise ValueError(f"{requirement} has {len(bounds)} lower bounds; write exactly one, as NAME>=VERSION.")
    return Requirement(f"{requirement.name}=={bounds[0]}")


def newest(requirement: Requirement) -> Requirement:
    """Return a requirement as it is: pip prefers the newest version."""
    return requirement


SETS: Mapping[str, Callable[[Requirement], Requirement]] = {"lowest": lowest, "newest": newest}


def check(requirements: tuple[Requirement, ...], folder: Path) -> str:
    """Install the project with `requirements` into a new environment in `folder`, and convert the example there.

    Returns:
        The versions that were installed.

    Raises:
        subprocess.CalledProcessError: The versions do not go together, or the command fails.
        ValueError: A converted file differs from the recorded one.
    """
    venv.create(folder / "venv", with_pip=True)
    python, quantize = (folder / "venv" / "bin" / name for name in ("python", "quantize"))
    _run(folder, python, "-m", "pip", "install", "--quiet", ROOT, *requirements)
    for arguments in COMMANDS:
        _run(folder, quantize, *arguments)
    for name in FORMATS:
        output = folder / f"{name}.gguf"
        _run(folder, quantize, EXAMPLE, "--no-provenance", "--format", name, "--output", output)
        expected = json.loads((GOLDEN / f"{name}.json").read_text())["file"]["sha256"]
        if (found := hashlib.sha256(output.read_bytes()).hexdigest()) != expected:
            raise ValueError(f"{EXAMPLE.name} in {name} has the SHA-256 {found}; {expected} is recorded.")
    names = {canonicalize_name(requirement.name) for requirement in requirements}
    listed = json.loads(_run(folder, python, "-m", "pip", "list", "--format", "json"))
    return ", ".join(f"{row['name']} {row['version']}" for row in listed if canonicalize_name(row["name"]) in names)


def _run(folder: Path, *command: object) -> str:
    """Run a command in `folder`, away from this repository and from kernels that were compiled before."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"NUMBA_CACHE_DIR": str(folder / "kernels"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    arguments = [str(part) for part in command]
    return subprocess.run(arguments, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Try the set that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", nargs="?", choices=tuple(SETS))
    only = parser.parse_args().set
    for name in [only] if only else SETS:
        start = time.monotonic()
        requirements = tuple(map(SETS[name], dependencies(ROOT / "pyproject.toml")))
        with tempfile.TemporaryDirectory(prefix="quantize-versions-") as folder:
            try:
                installed = check(requirements, Path(folder))
            except subprocess.CalledProcessError as error:
                sys.exit(f"{name}: {' '.join(error.cmd)} failed:\n{error.stderr}")
            except ValueError as error:
                sys.exit(f"{name}: {error}")
        print(f"{name}: equal to the recorded files, in {time.monotonic() - start:.0f} s, with {installed}", flush=True)


if __name__ == "__main__":
    main()
