"""A Hub on loopback that takes uploads: repositories, the files of their commits, and a log of what was asked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

TOKEN = "hf_test_0123456789"


@dataclass
class Repo:
    """A repository that uploads go to."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)  #: their subjects


class Request(NamedTuple):
    method: str
    host: str
    path: str
    token: str | None


class UploadServer(ThreadingHTTPServer):
    """Repositories by their ids; `refusals` maps the end of a path to the status that it is answered with."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}  #: large files by their SHA-256
        self.refusals: dict[str, int] = {}
        self.requests: list[Request] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving() -> Iterator[UploadServer]:
    with UploadServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: UploadServer

    def log_message(self, *_args: object) -> None:
        """Be quiet."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        path = self.path.split("?")[0]
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ") or None
        host = (self.headers["Host"] or "").split(":")[0]
        self.server.requests.append(Request(self.command, host, path, token))
        refused = next((status for end, status in self.server.refusals.items() if path.endswith(end)), None)
        if refused is not None:
            return self._send({"error": "no"}, refused)
        for method, pattern, answer in _ROUTES:
            if method == self.command and (match := re.fullmatch(pattern, path)):
                return answer(self, body, *match.groups())
        return self._send({}, 404)

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815

    def _create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.server.repos:
            return self._send({"error": "You already created this model repo"}, 409)
        private = asked.get("private", asked.get("visibility") == "private")
        self.server.repos[name] = Repo(private)
        return self._send({"url": f"{self.server.endpoint}/{name}"})

    def _settings(self, body: bytes, name: str) -> None:
        asked = json.loads(body)
        self.server.repos[name].private = asked.get("private", asked.get("visibility") == "private")
        self._send({})

    def _preupload(self, body: bytes, _name: str) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".gguf") else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._send({"files": files})

    def _batch(self, body: bytes, _name: str) -> None:
        objects = []
        for wanted in json.loads(body)["objects"]:
            # Large files go to another host name, where the token must not go.
            href = f"http://localhost:{self.server.server_port}/blobs/{wanted['oid']}"
            actions = {} if wanted["oid"] in self.server.blobs else {"actions": {"upload": {"href": href}}}
            objects.append({**wanted, **actions})
        self._send({"transfer": "basic", "objects": objects})

    def _blob(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.blobs[oid] = body
        self._send({})

    def _commit(self, body: bytes, name: str) -> None:
        repo = self.server.repos[name]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            match line["key"]:
                case "header":
                    repo.commits.append(value["summary"])
                case "file":
                    repo.files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    repo.files[value["path"]] = self.server.blobs[value["oid"]]
        self._send({"commitUrl": f"{self.server.endpoint}/{name}/commit/{'0' * 40}", "commitOid": "0" * 40})

    def _file(self, _body: bytes, name: str, file: str) -> None:
        repo = self.server.repos.get(name)
        if repo is None or file not in repo.files:
            code = "RepoNotFound" if repo is None else "EntryNotFound"
            return self._send(b"", 404, {"X-Error-Code": code, "X-Repo-Commit": "0" * 40})
        content = repo.files[file]
        tag = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": "0" * 40}
        return self._send(content, 200, tag)

    def _good(self, _body: bytes, *_names: str) -> None:
        self._send({"errors": [], "warnings": []})

    def _send(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for header, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


_ID = r"([^/]+/[^/]+)"
_ROUTES = (
    ("POST", "/api/repos/create", _Handler._create),
    ("POST", "/api/validate-yaml", _Handler._good),
    ("PUT", rf"/api/models/{_ID}/settings", _Handler._settings),
    ("POST", rf"/api/models/{_ID}/preupload/main", _Handler._preupload),
    ("POST", rf"/api/models/{_ID}/commit/main", _Handler._commit),
    ("GET", rf"/api/models/{_ID}/auth-check/write", _Handler._good),
    ("POST", rf"/{_ID}\.git/info/lfs/objects/batch", _Handler._batch),
    ("PUT", r"/blobs/([0-9a-f]+)", _Handler._blob),
    ("HEAD", rf"/{_ID}/resolve/[^/]+/(.+)", _Handler._file),
    ("GET", rf"/{_ID}/resolve/[^/]+/(.+)", _Handler._file),
)
