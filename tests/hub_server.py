"""A small Hugging Face Hub on this machine: the routes that fetching and pushing a model use, and no others."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

TOKEN = "hf_for_writing"
LICENSES = ("mit", "apache-2.0")


@dataclass
class Repo:
    """Its commits, each with all of its files, the newest last."""

    private: bool = False
    gated: bool = False
    commits: list[dict[str, bytes]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes], message: str = "") -> str:
        self.commits.append({**(self.commits[-1] if self.commits else {}), **files})
        self.messages.append(message)
        return sha(len(self.commits) - 1)

    def at(self, revision: str) -> int | None:
        """Number of the commit that a revision names."""
        names = {sha(i): i for i in range(len(self.commits))} | {"main": len(self.commits) - 1}
        return names.get(revision)


def sha(commit: int) -> str:
    return f"{commit + 1:040x}"


class Hub:
    """What the server knows, and what it was asked."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.owners = {"me"}
        self.requests: list[str] = []
        self.blobs: dict[str, bytes] = {}
        self.broken_uploads = False
        self.url = ""


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Answers requests at `hub.url` until the block ends."""

    class Bound(_Handler):
        pass

    Bound.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # a connection for each request, so that a stopped server is really gone
    hub: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self._start()
        match path:
            case [owner, name, "resolve", revision, *file]:
                self._resolve(f"{owner}/{name}", revision, "/".join(file))
            case ["api", "models", owner, name, *rest] if rest[:1] in ([], ["tree"], ["revision"]):
                repo = self._readable(f"{owner}/{name}")
                if repo is None:
                    return
                number = repo.at(rest[1] if len(rest) > 1 else "main")
                files = {} if number is None or number < 0 else repo.commits[number]
                if rest[:1] == ["tree"]:
                    self._json([_entry(name, content) for name, content in files.items()])
                else:
                    self._json({"id": f"{owner}/{name}", "private": repo.private, "sha": sha(len(repo.commits) - 1),
                                "siblings": [{"rfilename": name} for name in files]})  # fmt: skip
            case _:
                self._error(404, "", "no such route")

    def do_POST(self) -> None:
        path = self._start()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._error(401, "", "Invalid username or password.")
            return
        match path:
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case ["api", "validate-yaml"]:
                text = json.loads(body)["content"]
                wrong = not any(f"\nlicense: {known}\n" in text for known in LICENSES)
                errors = [{"message": '"license" must be one of [mit, apache-2.0]'}] if wrong else []
                self._json({"errors": errors, "warnings": []}, status=400 if wrong else 200)
            case ["api", "models", _, _, "preupload", "main"]:
                modes = [
                    {"path": file["path"], "shouldIgnore": False, "oid": None,
                     "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular"}
                    for file in json.loads(body)["files"]
                ]  # fmt: skip
                self._json({"files": modes})
            case [_, _, "info", "lfs", "objects", "batch"]:
                self._json(
                    {"transfer": "basic", "objects": [self._upload(item) for item in json.loads(body)["objects"]]}
                )
            case ["api", "models", owner, name, "commit", "main"]:
                self._commit(f"{owner}/{name}", body)
            case _:
                self._error(404, "", "no such route")

    def do_PUT(self) -> None:
        path = self._start()
        body = (
            self.rfile.read(int(self.headers["Content-Length"]))
            if "Content-Length" in self.headers
            else b"".join(self._chunks())
        )
        if self.hub.broken_uploads:
            self._error(400, "", "the store is full")
            return
        assert hashlib.sha256(body).hexdigest() == path[-1]
        self.hub.blobs[path[-1]] = body
        self._json({})

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _start(self) -> list[str]:
        self.hub.requests.append(f"{self.command} {self.path}")
        return [unquote(part) for part in self.path.partition("?")[0].strip("/").split("/")]

    def _readable(self, name: str) -> Repo | None:
        repo = self.hub.repos.get(name)
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repo is None or (repo.private and not known):  # the Hub does not say which of both
            self._error(404 if known else 401, "RepoNotFound", "Repository not found")
            return None
        if repo.gated:
            self._error(403, "GatedRepo", "Access to this model is restricted")
            return None
        return repo

    def _resolve(self, name: str, revision: str, file: str) -> None:
        repo = self._readable(name)
        if repo is None:
            return
        number = repo.at(revision)
        if number is None:
            self._error(404, "RevisionNotFound", "Invalid rev id")
        elif file not in repo.commits[number]:
            self._error(404, "EntryNotFound", "Entry not found", commit=sha(number))
        else:
            content = repo.commits[number][file]
            self._answer(
                200, content, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": sha(number)}
            )

    def _create(self, wanted: dict[str, str]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if wanted["organization"] not in self.hub.owners:
            self._error(403, "", f"You don't have the rights to create a model under {wanted['organization']}")
        elif name in self.hub.repos:
            self._json({"url": f"{self.hub.url}/{name}", "error": "You already created this model repo"}, status=409)
        else:
            private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
            self.hub.repos[name] = Repo(private=private)
            self._json({"url": f"{self.hub.url}/{name}"})

    def _upload(self, wanted: dict[str, str]) -> dict[str, object]:
        return {**wanted, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}"}}}

    def _commit(self, name: str, body: bytes) -> None:
        files, message = {}, ""
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            match line["key"]:
                case "header":
                    message = value["summary"]
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.hub.blobs[value["oid"]]
        oid = self.hub.repos[name].commit(files, message)
        self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{oid}", "commitOid": oid})

    def _json(self, content: object, *, status: int = 200) -> None:
        self._answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str, *, commit: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message, "X-Repo-Commit": commit}
        self._answer(status, b"", {name: value for name, value in headers.items() if value})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests read `Hub.requests`."""


def _entry(path: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
