"""A stand-in for the Hugging Face hub on loopback: as much of its interface as pushing and loading need.

Repositories live in memory, by commit. Files are regular git blobs for it, whatever their size.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_writer"


class Hub(ThreadingHTTPServer):
    """The server and what lies in it.

    Attributes:
        commits: By repository: its commits, oldest first, each a name and all its files.
        private: Repositories that only the token's owner sees.
        asked: Paths of files that were asked for.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.commits: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.private: set[str] = set()
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        """Add files to what a repository holds."""
        commits = self.commits.setdefault(repository, [])
        held = {**(commits[-1][1] if commits else {}), **files}
        name = hashlib.sha1(f"{repository} {len(commits)}".encode()).hexdigest()
        commits.append((name, held))
        return name

    def files(self, repository: str) -> dict[str, bytes]:
        """What a repository holds now."""
        return self.commits[repository][-1][1]


@contextmanager
def running() -> Iterator[Hub]:
    """A hub that answers."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._file()

    def do_GET(self) -> None:
        self._file()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.split("?")[0].removeprefix("/api/")
        if path == "validate-yaml":
            header = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            fine = isinstance(header.get("license"), str)
            return self._json(
                {"errors": [] if fine else [{"message": "license is missing"}]}, 200 if fine else 400
            )
        if not self._may_write:
            return self._refused(401, None, "Invalid username or password.")
        if path == "repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name in self.server.commits:
                return self._json({"error": "exists", "url": f"{self.server.address}/{name}"}, 409)
            self.server.commit(name, {})
            if asked.get("visibility") == "private":
                self.server.private.add(name)
            return self._json({"url": f"{self.server.address}/{name}"})
        repository = "/".join(path.split("/")[1:3])
        if repository not in self.server.commits:
            return self._refused(404, "RepoNotFound", "Repository not found")
        if "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            return self._json({"files": modes})
        lines = [json.loads(line) for line in body.splitlines()]
        files = {
            x["value"]["path"]: base64.b64decode(x["value"]["content"]) for x in lines if x["key"] == "file"
        }
        commit = self.server.commit(repository, files)
        return self._json(
            {"commitUrl": f"{self.server.address}/{repository}/commit/{commit}", "commitOid": commit}
        )

    @property
    def _may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _file(self) -> None:
        """/USER/NAME/resolve/REVISION/FILE."""
        parts = self.path.strip("/").split("/", 4)
        if len(parts) < 5 or parts[2] != "resolve":  # what else huggingface_hub asks, it can do without
            return self._refused(404, None, "Not here")
        repository, revision, name = "/".join(parts[:2]), parts[3], parts[4]
        self.server.asked.append(name)
        hidden = repository in self.server.private and not self._may_write
        if repository not in self.server.commits or hidden:
            return self._refused(401, "RepoNotFound", "Repository not found")
        commits = dict(self.server.commits[repository])
        commit = self.server.commits[repository][-1][0] if revision == "main" else revision
        if commit not in commits:
            return self._refused(404, "RevisionNotFound", "Invalid rev id")
        if name not in commits[commit]:
            return self._refused(404, "EntryNotFound", "Entry not found", commit)
        content = commits[commit][name]
        self._answer(
            200, content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit}
        )

    def _refused(self, status: int, code: str | None, message: str, commit: str = "") -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._answer(status, b"{}", headers | ({"X-Repo-Commit": commit} if commit else {}))

    def _json(self, value: Any, status: int = 200) -> None:
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
