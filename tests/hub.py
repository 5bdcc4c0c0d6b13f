"""A hub on loopback, as huggingface_hub's client sees the real one: one repository with its files.

What goes wrong is set on it: `drop_at` bytes the connection breaks once, `corrupt` bytes arrive,
`claims` is the size that it gives in place of the true one, `status` what it answers to everything.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

REPO, REVISION = "owner/Model-GGUF", "a" * 40


class Hub:
    """The files of the repository, and what it does wrong."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.endpoint = ""
        self.ranges: list[str | None] = []  # of each GET of a file
        self.drop_at: int | None = None
        self.corrupt = False
        self.claims: int | None = None
        self.status = 200

    def about(self) -> bytes:
        siblings = [
            {
                "rfilename": name,
                "size": self.claims or len(data),
                "blobId": "b" * 40,
                "lfs": {"size": len(data), "sha256": _sha256(data), "pointerSize": 134},
            }
            for name, data in self.files.items()
        ]
        return json.dumps({"id": REPO, "sha": REVISION, "siblings": siblings}).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def _head(self, length: int, status: int = 200, **more: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _file(self) -> tuple[bytes, dict[str, str]] | None:
        found = re.fullmatch(rf"/{REPO}/resolve/[^/]+/(.+)", self.path)
        data = self.hub.files.get(found[1]) if found else None
        if data is None:
            self._head(0, 404, X_Error_Code="RepoNotFound")
            return None
        tag = f'"{_sha256(data)}"'
        about = {"X-Repo-Commit": REVISION, "X-Linked-Etag": tag, "ETag": tag}
        return data, {**about, "X-Linked-Size": str(len(data)), "Accept-Ranges": "bytes"}

    def do_HEAD(self) -> None:
        if self.hub.status != 200:
            self._head(0, self.hub.status)
        elif (found := self._file()) is not None:
            self._head(len(found[0]), **found[1])

    def do_GET(self) -> None:
        if self.hub.status != 200:
            self._head(0, self.hub.status)
        elif self.path.startswith(f"/api/models/{REPO}"):
            about = self.hub.about()
            self._head(len(about), Content_Type="application/json")
            self.wfile.write(about)
        elif (found := self._file()) is not None:
            self._send(*found)

    def _send(self, data: bytes, about: dict[str, str]) -> None:
        asked = self.headers.get("Range")
        self.hub.ranges.append(asked)
        start = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked else 0
        body = data[start:]
        if self.hub.corrupt:
            body = bytes(100) + body[100:]
        if asked:
            about |= {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        self._head(len(body), 206 if asked else 200, **about)
        if self.hub.drop_at is not None:
            body, self.hub.drop_at = body[: self.hub.drop_at], None
            self.close_connection = True
        self.wfile.write(body)


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is what is tested here."""


@contextmanager
def running(files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub that serves `files` until the block ends."""
    hub = Hub(files)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
