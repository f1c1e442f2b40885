"""A server on this machine that speaks enough of the hub's protocol to download a data set."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class DatasetHub(ThreadingHTTPServer):
    """Holds one data set, `someone/talks`, at one commit; counts what it is asked."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: DatasetHub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.server.asked.append(self.path)
        info, resolve = "/api/datasets/someone/talks", "/datasets/someone/talks/resolve/"
        if self.path.startswith(f"{info}/tree/"):
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": self._etag(data)}
                for name, data in self.server.files.items()
            ]
            self._send(json.dumps(entries).encode(), body=body)
        elif self.path.startswith(info):
            siblings = [{"rfilename": name} for name in self.server.files]
            found: dict[str, Any] = {"id": "someone/talks", "sha": COMMIT, "siblings": siblings}
            self._send(json.dumps(found).encode(), body=body)
        elif self.path.startswith(resolve):
            name = self.path.removeprefix(resolve).partition("/")[2]
            self._send(self.server.files[name], body=body)
        else:
            self.send_error(404)

    def _send(self, data: bytes, *, body: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{self._etag(data)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(data)

    @staticmethod
    def _etag(data: bytes) -> str:
        return hashlib.sha1(data).hexdigest()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[DatasetHub]:
    """The server, running."""
    hub = DatasetHub(files)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
