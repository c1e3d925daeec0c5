"""A Hub on loopback: the endpoints that `huggingface_hub` asks for model files, and a log of what it asked."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event
from types import MappingProxyType
from typing import NamedTuple


class Refusal(NamedTuple):
    """How the Hub says no."""

    status: int
    code: str | None = None
    message: str = ""


class Fault(NamedTuple):
    """What is wrong with one answer to a request for a part of a large file."""

    status: int | None = None  #: sent instead of the part
    headers: Mapping[str, str] = MappingProxyType({})  #: sent instead of true ones, or beside them
    sent: float = 1.0  #: the share of the body after which the connection is dropped
    hangs: bool = False  #: nothing more comes until the hub is told to go on
    extra: int = 0  #: bytes behind the body; negative: so many are missing, and the length is not told


@dataclass
class Repo:
    """A model repository with one branch."""

    files: dict[str, bytes]
    token: str | None = None  #: who may see it; None is everybody
    refusal: Refusal | None = None  #: of the repository itself
    file_refusal: Refusal | None = None  #: of its files only, as gated ones have it
    ignores_ranges: bool = False  #: whoever asks for a part of a file is sent all of it
    other_headers: dict[str, bytes] = field(default_factory=dict)  #: what such a request is answered from instead
    other_bodies: dict[str, bytes] = field(default_factory=dict)  #: what is sent instead of a large file
    lies: dict[str, str] = field(default_factory=dict)  #: headers that are sent with every file instead of true ones
    listed: dict[str, object] = field(default_factory=dict)  #: what the list of files states instead of the truth
    endless: bool = False  #: the content of a file never ends
    drops: int = 0  #: how often the connection is dropped while a part is sent, until all of it is sent
    ends: Counter[int] = field(default_factory=Counter)  #: how often a part with that end was asked for
    faults: list[Fault] = field(default_factory=list)  #: of the next requests for parts of large files, in their order

    @property
    def commit(self) -> str:
        digest = hashlib.sha1(json.dumps(sorted(self.files)).encode())
        for _, content in sorted(self.files.items()):
            digest.update(content)
        return digest.hexdigest()


class Request(NamedTuple):
    method: str
    host: str
    path: str
    token: str | None
    part: tuple[int, int] | None  #: the first byte that is asked for and the one behind the last; None: all of them


@dataclass
class Hub:
    """What is served, and what was asked."""

    repos: dict[str, Repo] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    hanging: Event = field(default_factory=Event)  #: a body has stopped in its middle
    go_on: Event = field(default_factory=Event)
    dropped: int = 0  #: connections that were dropped in the middle of a body
    sent: Counter[str] = field(default_factory=Counter)  #: name of a file -> bytes of its content that were sent

    def downloads(self) -> list[str]:
        """Names of the files that were asked for as a whole."""
        return sorted(name for name, part in self._contents() if part is None)

    def parts(self) -> list[tuple[str, tuple[int, int]]]:
        """Names of the files of which a part was asked for, and that part, without what redirects to it."""
        return sorted((name, part) for name, part in self._contents() if part is not None)

    def _contents(self) -> Iterator[tuple[str, tuple[int, int] | None]]:
        for request in self.requests:
            found = _SENT.fullmatch(request.path) if request.method == "GET" else None
            name = found and (found["small"] or found["large"])
            # A weights file is sent by another host: the request for it that was redirected counts only once.
            if name and bool(found["large"]) == name.endswith(".safetensors"):
                yield name, request.part


_SENT = re.compile(r"/[^/]+/[^/]+/resolve/[^/]+/(?P<small>.+)|/cdn/[^/]+/[^/]+/(?P<large>.+)")


class HubServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = Hub()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *_args: object) -> None:
        """Be quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.split("?")[0]
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ") or None
        host = (self.headers["Host"] or "").split(":")[0]
        for pattern, answer in _ROUTES:
            if match := re.fullmatch(pattern, path):
                self.server.hub.requests.append(Request(self.command, host, path, token, self._part()))
                model, *rest = match.groups()
                repo = self.server.hub.repos.get(model)
                if repo is None or (repo.token not in (None, token) and answer is not _Handler._cdn):
                    self._refuse(Refusal(404, "RepoNotFound", "Repository not found"))
                elif repo.refusal:
                    self._refuse(repo.refusal)
                elif answer is not _Handler._cdn and rest[0] not in ("main", repo.commit):
                    self._refuse(Refusal(404, "RevisionNotFound", "Invalid rev id"))
                else:
                    answer(self, model, repo, *rest)
                return
        self._refuse(Refusal(404))

    def _info(self, model: str, repo: Repo, _revision: str) -> None:
        sizes = {"blobs=true"} <= {*self.path.partition("?")[2].split("&")}
        siblings = [
            {
                "rfilename": name,
                **({"size": len(content)} if sizes else {}),
                **({"lfs": {"sha256": hashlib.sha256(content).hexdigest()}} if name.endswith(".safetensors") else {}),
            }
            for name, content in repo.files.items()
        ]
        self._send(json.dumps({"id": model, "sha": repo.commit, "siblings": siblings, **repo.listed}).encode())

    def _tree(self, _model: str, repo: Repo, _revision: str) -> None:
        files = [
            {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            for name, content in repo.files.items()
        ]
        self._send(json.dumps(files).encode())

    def _resolve(self, model: str, repo: Repo, _revision: str, name: str) -> None:
        if repo.file_refusal:
            return self._refuse(repo.file_refusal)
        if name not in repo.files:
            return self._refuse(Refusal(404, "EntryNotFound"), repo.lies)
        content = repo.files[name]
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"', **repo.lies}
        if not name.endswith(".safetensors"):
            return self._send_file(name, repo, headers)
        # Large files live elsewhere: another host name, where the token must not go.
        headers |= {
            "Location": f"http://localhost:{self.server.server_port}/cdn/{model}/{name}",
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": str(len(content)),
            **repo.lies,
        }
        return self._send(b"", headers, status=302)

    def _cdn(self, _model: str, repo: Repo, name: str) -> None:
        part = self._part()
        fault = repo.faults.pop(0) if repo.faults and part else None
        if part and repo.drops:
            repo.ends[part[1]] += 1
            if repo.ends[part[1]] <= repo.drops:
                fault = Fault(sent=0.5 * (repo.ends[part[1]] % 2))
        if fault is None or part is None:
            self._send_file(name, repo, {})
        else:
            self._send_wrong(repo.files[name], part, fault)

    def _send_wrong(self, content: bytes, part: tuple[int, int], fault: Fault) -> None:
        """Answer as `fault` says, and end the connection."""
        self.close_connection = True
        start, stop = part[0], min(part[1], len(content))
        if fault.status not in (None, 200):
            self._send(b"", dict(fault.headers), fault.status)
            return
        body = content if fault.status == 200 else content[start:stop]
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}", "Content-Length": str(len(body))}
        if fault.extra:
            del headers["Content-Length"]  # the end of the connection is that of the body
            body = body + bytes(fault.extra) if fault.extra > 0 else body[: fault.extra]
        self.send_response(fault.status or 206)
        for header, value in {**headers, **fault.headers}.items():
            self.send_header(header, value)
        self.send_header("Connection", "close")
        self.end_headers()
        with suppress(ConnectionError):
            self.server.hub.dropped += fault.sent < 1
            self.server.hub.sent[""] += self.wfile.write(body[: int(len(body) * fault.sent)])
            if fault.hangs:
                self.server.hub.hanging.set()
                self.server.hub.go_on.wait(60)

    def _part(self) -> tuple[int, int] | None:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        return (int(match[1]), int(match[2]) + 1) if match else None

    def _send_file(self, name: str, repo: Repo, headers: dict[str, str]) -> None:
        content, part, status = repo.files[name], self._part(), 200
        if repo.endless and self.command == "GET":
            self._send_for_ever(content, headers)
            return
        if part is None:
            content = repo.other_bodies.get(name, content)
        if part is not None and not repo.ignores_ranges:
            content = repo.other_headers.get(name, content)
            start, stop = part[0], min(part[1], len(content))
            headers = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}
            content, status = content[start:stop], 206
        self._send(content, headers, status, name)

    def _send_for_ever(self, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            content = content.ljust(_CHUNK_BYTES)
            while True:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        except OSError:  # the client has read enough
            self.close_connection = True

    def _refuse(self, refusal: Refusal, more: dict[str, str] | None = None) -> None:
        headers = {"X-Error-Message": refusal.message} | ({"X-Error-Code": refusal.code} if refusal.code else {})
        self._send(b"", headers | (more or {}), refusal.status)

    def _send(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200, name: str = "") -> None:
        self.send_response(status)
        for header, value in (headers or {}).items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            try:
                for start in range(0, len(content), _CHUNK_BYTES):
                    self.server.hub.sent[name] += self.wfile.write(content[start : start + _CHUNK_BYTES])
            except ConnectionError:  # the client has read enough
                self.close_connection = True


_CHUNK_BYTES = 1 << 16
_MODEL = r"([^/]+/[^/]+)"
_ROUTES = (
    (rf"/api/models/{_MODEL}/revision/([^/]+)", _Handler._info),
    (rf"/api/models/{_MODEL}/tree/([^/]+)", _Handler._tree),
    (rf"/{_MODEL}/resolve/([^/]+)/(.+)", _Handler._resolve),
    (rf"/cdn/{_MODEL}/(.+)", _Handler._cdn),
)
