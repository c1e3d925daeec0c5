"""The ways to write the name of a model on the Hub: an id, an id with a revision, an address from the browser."""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from quantize_cli.errors import UsageError, shown

#: An id: ORG/NAME, which cannot be the path of a file of weights.
_ID = r"(?P<id>[A-Za-z0-9][\w.-]*/(?!\.+$)[\w.-]+(?<!\.safetensors)(?<!\.gguf))"
_PLAIN = re.compile(rf"{_ID}(?:@(?P<revision>[^@\s]+))?")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
#: Branches, tags and commits as Git names them, without what could leave a folder.
_REVISION = re.compile(r"(?!.*(?:\.\.|//|/\.|\.lock$))[A-Za-z0-9_][\w./+-]*(?<![./])")
_DEFAULT_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
#: The first part of the path of what is on the Hub, but not a model.
_OTHER_KINDS = {
    "datasets": "a data set", "spaces": "a space", "collections": "a collection", "papers": "a paper",
    "kernels": "a kernel", "buckets": "a bucket", "docs": "documentation", "blog": "a blog post",
}  # fmt: skip
#: What may follow the id in an address: its pages, the first of which have a revision.
_PAGES_WITH_REVISION = ("tree", "blob", "resolve", "raw", "commit", "commits", "blame")
_PAGES = ("discussions", "edit", "settings")


class Address(NamedTuple):
    """A model on the Hub."""

    model_id: str  #: ORG/NAME
    revision: str | None  #: a branch, tag or commit
    file: str | None = None  #: the file of the repository that the address leads to


def read_address(text: str) -> Address | None:
    """Read the name of a model on the Hub; return None if `text` can only be a path.

    Raises:
        UsageError: `text` is an address, but not of a model on the Hub that is used.
    """
    if plain := _PLAIN.fullmatch(text.removesuffix("/")):
        return Address(plain["id"], _checked(plain["revision"], text))
    host = text.split("/", 1)[0].lower()
    scheme = _SCHEME.match(text)
    if scheme is None and host not in _hosts():
        return None
    if scheme is not None and scheme["scheme"].lower() == "hf":
        return _of_path(text[scheme.end() :], text)
    if scheme is not None and scheme["scheme"].lower() not in ("http", "https"):
        raise UsageError(
            f"{_shown(text)} begins with {scheme['scheme']}://, which is not known; give a path or a Hub id."
        )
    try:
        parts = urlsplit(text if scheme is not None else f"https://{text}")
        netloc = parts.netloc.rpartition("@")[2].lower()
    except ValueError as error:
        raise UsageError(f"{_shown(text)} is not a valid address; give a path or a Hub id, ORG/NAME.") from error
    if netloc not in _hosts():
        raise UsageError(
            f"{_shown(text)} is at {shown(netloc)}, which is not the Hub that is used, {_hosts()[0]}; download the "
            "model and give its path, or set HF_ENDPOINT to a Hub of your own."
        )
    return _of_path(unquote(parts.path), text)


def _of_path(path: str, text: str) -> Address:
    """Read the path of an address, ORG/NAME/PAGE/REVISION/FILE."""
    first, *_ = names = [name for name in path.partition("?")[0].partition("#")[0].split("/") if name] or [""]
    if first in _OTHER_KINDS:
        raise UsageError(f"{_shown(text)} is {_OTHER_KINDS[first]}, not a model; give the address of a model.")
    if first == "models":
        names = names[1:]
    plain = _PLAIN.fullmatch("/".join(names[:2]))
    page, rest = (names[2], names[3:]) if len(names) > 2 else ("", [])
    if plain is None or page not in ("", *_PAGES, *_PAGES_WITH_REVISION):
        raise UsageError(f"{_shown(text)} is not the address of a model; give it as ORG/NAME.")
    if page not in _PAGES_WITH_REVISION or not rest:
        return Address(plain["id"], _checked(plain["revision"], text))
    # The Hub's own branches are the only ones with a slash that an address does not escape.
    length = 3 if rest[0] == "refs" else 1
    file = "/".join(rest[length:]) if page in ("blob", "resolve", "raw") else ""
    return Address(plain["id"], _checked("/".join(rest[:length]), text), file or None)


def _checked(revision: str | None, text: str) -> str | None:
    if revision is not None and not _REVISION.fullmatch(revision):
        raise UsageError(
            f"{_shown(text)} has the revision {shown(revision)}, which is not the name of a branch, tag or commit."
        )
    return revision


def check_revision(revision: str) -> None:
    """Check that a revision that the user gives is one.

    Raises:
        UsageError: It is not the name of a branch, tag or commit.
    """
    if not _REVISION.fullmatch(revision):
        raise UsageError(f"{shown(revision)} is not the name of a branch, tag or commit; check --revision.")


def _hosts() -> tuple[str, ...]:
    """Return the hosts whose addresses are read: that of HF_ENDPOINT, which is asked, and the default's names."""
    endpoint = os.environ.get("HF_ENDPOINT", "").strip()
    return (urlsplit(endpoint).netloc.lower(), *_DEFAULT_HOSTS) if endpoint else _DEFAULT_HOSTS


def _shown(text: str) -> str:
    """Return an address for a message, without what may be a password or token."""
    return shown(re.sub(r"//[^/@]*@", "//", text).partition("?")[0].partition("#")[0])
