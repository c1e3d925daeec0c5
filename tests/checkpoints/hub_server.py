"""A Hub on loopback: the endpoints that `huggingface_hub` asks for model files, and a log of what it asked."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Refusal(NamedTuple):
    """How the Hub says no."""

    status: int
    code: str | None = None
    message: str = ""


@dataclass
class Repo:
    """A model repository with one branch."""

    files: dict[str, bytes]
    token: str | None = None  #: who may see it; None is everybody
    refusal: Refusal | None = None  #: of the repository itself
    file_refusal: Refusal | None = None  #: of its files only, as gated ones have it

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


@dataclass
class Hub:
    """What is served, and what was asked."""

    repos: dict[str, Repo] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def downloads(self) -> list[str]:
        """Names of the files whose content was sent."""
        sent = re.compile(r"(?:/[^/]+/[^/]+/resolve/[^/]+|/cdn/[^/]+/[^/]+)/(.+)")
        found = [sent.fullmatch(request.path) for request in self.requests if request.method == "GET"]
        return sorted(match[1] for match in found if match)


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
                self.server.hub.requests.append(Request(self.command, host, path, token))
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
        siblings = [{"rfilename": name} for name in repo.files]
        self._send(json.dumps({"id": model, "sha": repo.commit, "siblings": siblings}).encode())

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
            return self._refuse(Refusal(404, "EntryNotFound"))
        content = repo.files[name]
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        if not name.endswith(".safetensors"):
            return self._send(content, headers)
        # Large files live elsewhere: another host name, where the token must not go.
        headers |= {
            "Location": f"http://localhost:{self.server.server_port}/cdn/{model}/{name}",
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": str(len(content)),
        }
        return self._send(b"", headers, status=302)

    def _cdn(self, _model: str, repo: Repo, name: str) -> None:
        self._send(repo.files[name])

    def _refuse(self, refusal: Refusal) -> None:
        headers = {"X-Error-Message": refusal.message} | ({"X-Error-Code": refusal.code} if refusal.code else {})
        self._send(b"", headers, refusal.status)

    def _send(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


_MODEL = r"([^/]+/[^/]+)"
_ROUTES = (
    (rf"/api/models/{_MODEL}/revision/([^/]+)", _Handler._info),
    (rf"/api/models/{_MODEL}/tree/([^/]+)", _Handler._tree),
    (rf"/{_MODEL}/resolve/([^/]+)/(.+)", _Handler._resolve),
    (rf"/cdn/{_MODEL}/(.+)", _Handler._cdn),
)
