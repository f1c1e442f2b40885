"""Uploading, against a server on this machine that speaks the hub's protocol."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from factory.artifacts import Check
from factory.config import Save
from factory.errors import ConfigError
from factory.export import hub

TOKEN = "hf_for_this_test_only"
PUSHING = Save(push_to_hub=True, hub_model_id="someone/demo")
UPLOAD = """
import sys
from pathlib import Path
from factory.config import Save
from factory.errors import FactoryError
from factory.export import hub
save = Save(push_to_hub=True, hub_model_id="someone/demo")
try:
    print(hub.push(save, Path(sys.argv[1]), [])["hub"].reason)
except FactoryError as error:
    sys.exit(str(error))
"""


class Hub(ThreadingHTTPServer):
    """Takes repositories and commits; remembers what it was asked and given."""

    def __init__(self, refuse: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.refuse = refuse
        self.files: dict[str, bytes] = {}
        self.created: dict[str, Any] = {}
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.tokens.add(self.headers["Authorization"])
        if self.server.refuse:
            self._answer({"error": "no such right"}, status=403)
        elif self.path == "/api/repos/create":
            self.server.created = json.loads(body)
            self._answer({"url": f"{self.server.url}/someone/demo"})
        elif self.path.endswith("/preupload/main"):
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [
                {"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names
            ]
            self._answer({"files": modes})
        elif self.path.endswith("/commit/main"):
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    value = entry["value"]
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
            commit = f"{self.server.url}/someone/demo/commit/0123abc"
            self._answer({"commitUrl": commit, "commitOid": "0123abc"})
        else:
            self._answer({"errors": [], "warnings": []})

    def do_GET(self) -> None:
        self._answer({"id": "someone/demo", "siblings": []})

    def _answer(self, value: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Keep the test output clean."""


def serve(server: Hub) -> Iterator[Hub]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hub_server() -> Iterator[Hub]:
    yield from serve(Hub())


@pytest.fixture
def refusing_server() -> Iterator[Hub]:
    yield from serve(Hub(refuse=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    release = tmp_path / "demo-v1.0.0"
    (release / "adapter").mkdir(parents=True)
    (release / "README.md").write_text("---\nlicense: other\n---\n# demo\n")
    (release / "adapter" / "adapter_config.json").write_text("{}")
    return release


def upload(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Push in a process of its own: huggingface_hub reads its environment when imported."""
    environment = {**os.environ, "HF_TOKEN": TOKEN, "HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0"}
    return subprocess.run(
        [sys.executable, "-c", UPLOAD, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_every_file_arrives_in_a_private_repository(hub_server: Hub, folder: Path) -> None:
    done = upload(folder, hub_server.url)
    assert done.returncode == 0, done.stderr
    assert "uploaded to someone/demo (private)" in done.stdout
    assert hub_server.created["visibility"] == "private"
    assert hub_server.files == {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert hub_server.tokens == {f"Bearer {TOKEN}"}


def test_a_refusal_is_one_clear_error_without_the_token(refusing_server: Hub, folder: Path) -> None:
    done = upload(folder, refusing_server.url)
    assert done.returncode == 1
    assert "upload to someone/demo failed" in done.stderr
    assert "Traceback" not in done.stderr and TOKEN not in done.stderr


def test_an_unreachable_hub_is_one_clear_error(folder: Path) -> None:
    done = upload(folder, "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "upload to someone/demo failed" in done.stderr
    assert "the release is complete" in done.stderr and "Traceback" not in done.stderr


def test_a_closed_check_is_never_uploaded(folder: Path) -> None:
    closed = Check(id="export.leaks", value=1, threshold=0, passed=False, why="leaks")
    found = hub.push(PUSHING, folder, [closed])["hub"]
    assert found.value is None and "export.leaks" in found.reason


def test_nothing_is_pushed_unless_asked(folder: Path) -> None:
    assert hub.push(Save(), folder, []) == {}


@pytest.mark.parametrize(
    ("save", "environment", "where"),
    [
        (Save(push_to_hub=True), {"HF_TOKEN": TOKEN}, "save.hub_model_id"),
        (PUSHING, {}, "HF_TOKEN"),
        (PUSHING, {"HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE"),
    ],
)
def test_what_cannot_work_is_refused_before_the_work(
    save: Save, environment: dict[str, str], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        hub.require_usable(save)
    assert caught.value.where == where


def test_a_configuration_without_push_needs_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    hub.require_usable(Save())
