"""The doctor: what each check says on machines that are ready, poor or odd."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from factory import Workspace, config, doctor, init
from factory.doctor import Finding, Patient
from factory.hardware import GIB, Accelerator, Machine
from tests.conftest import factory

ROOT = Path(__file__).parent.parent


def machine(*, gpu: Accelerator | None = None, cpu_bf16: bool = True) -> Machine:
    return Machine(
        cores=4,
        memory=16 * GIB,
        free_memory=8 * GIB,
        cpu="Test CPU",
        cpu_bf16=cpu_bf16,
        accelerators=(gpu,) if gpu else (),
    )


def patient(
    folder: Path, values: dict[str, Any] | None = None, *, on: Machine | None = None
) -> Patient:
    return Patient(Workspace(folder), on or machine(), config.validate(values or {}), None)


def old_gpu(gib: int = 8) -> Accelerator:
    return Accelerator("cuda", "Old GPU", gib * GIB, gib * GIB, bf16=False)


def test_a_fresh_workspace_is_ready(tmp_path: Path) -> None:
    init.make(tmp_path / "ws", sample=True)
    report = doctor.examine(Workspace(tmp_path / "ws"))
    statuses = {finding.check: finding.status for finding in report.findings}
    for check in ("python", "configuration", "data", "model", "memory"):
        assert statuses[check] == "PASS", report.findings


def test_every_fault_comes_with_a_fix(tmp_path: Path) -> None:
    report = doctor.examine(Workspace(tmp_path))
    assert not report.ready
    failed = [finding for finding in report.findings if finding.status == "FAIL"]
    assert "configuration" in {finding.check for finding in failed}
    assert all(finding.fix for finding in failed)


def test_the_tested_versions_are_the_pinned_ones() -> None:
    text = (ROOT / "constraints.txt").read_text() + (ROOT / "scripts" / "setup.sh").read_text()
    pins = re.findall(r"([A-Za-z0-9_-]+)==([0-9][0-9.]*)", text)
    pinned = {(name.lower().replace("-", "_"), version) for name, version in pins}
    assert set(doctor.TESTED.items()) <= pinned


def test_all_that_is_compiled_is_looked_for() -> None:
    sources = sorted((ROOT / "factory" / "data").glob("*.c"))
    names = [f"factory.data.{source.stem}" for source in sources]
    assert names == sorted(doctor.COMPILED)
    assert all(f'"{name}"' in (ROOT / "hatch_build.py").read_text() for name in names)


def test_what_was_not_compiled_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor.check_compiled(patient(tmp_path)).status == "PASS"
    monkeypatch.setattr(doctor.util, "find_spec", lambda name: None)
    found = doctor.check_compiled(patient(tmp_path))
    assert (found.status, "C compiler" in found.fix) == ("WARN", True)


def test_a_gpu_needs_a_torch_that_was_built_for_it(tmp_path: Path) -> None:
    found = doctor.check_accelerator(patient(tmp_path, on=machine(gpu=old_gpu())))
    if doctor._torch_build("cuda") is None:
        assert found.status == "FAIL"
        assert "built without CUDA" in found.found


@pytest.mark.parametrize(
    ("values", "on", "status"),
    [
        ({}, machine(), "PASS"),
        ({}, machine(cpu_bf16=False), "WARN"),
        ({"training": {"bf16": True}}, machine(gpu=old_gpu()), "FAIL"),
    ],
)
def test_bf16(tmp_path: Path, values: dict[str, Any], on: Machine, status: str) -> None:
    assert doctor.check_bf16(patient(tmp_path, values, on=on)).status == status


def test_a_run_that_cannot_fit_fails_with_its_parts(tmp_path: Path) -> None:
    values = {"model": {"name": "Qwen/Qwen2.5-Coder-7B-Instruct"}}
    found = doctor.check_memory(patient(tmp_path, values, on=machine(gpu=old_gpu())))
    assert found.status == "FAIL"
    assert "suggest" in found.fix
    assert "weights" in found.details
    values["model"] |= {"load_in_4bit": True}  # type: ignore[dict-item]
    gpu = old_gpu(24)
    assert doctor.check_memory(patient(tmp_path, values, on=machine(gpu=gpu))).status == "PASS"


def test_a_check_that_breaks_is_a_finding() -> None:
    def check_odd(patient: Patient) -> Finding:
        raise ZeroDivisionError("no such thing")

    found = doctor._run(check_odd, patient(Path(".")))
    assert (found.check, found.status) == ("odd", "WARN")
    assert "ZeroDivisionError" in found.found


class Hub(BaseHTTPRequestHandler):
    """Knows one model, keeps one behind a licence."""

    def do_GET(self) -> None:
        codes = {
            "/api/models/known/model": 200,
            "/api/models/gated/model": 401,
            "/api/datasets/known/data": 200,
        }
        self.send_response(codes.get(self.path, 404))
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("known/model", "PASS", "will be fetched"),
        ("gated/model", "FAIL", "401"),
        ("gone/model", "FAIL", "404"),
        ("no model", "FAIL", "neither a folder nor a model id"),
    ],
)
def test_the_hub_is_asked_for_what_is_not_here(
    hub: str, tmp_path: Path, name: str, status: str, said: str
) -> None:
    found = doctor.check_model(patient(tmp_path, {"model": {"name": name}}))
    assert (found.status, said in found.found) == (status, True), found


def test_data_on_the_hub_is_asked_for_and_not_fetched(hub: str, tmp_path: Path) -> None:
    values = {"dataset": {"sources": ["hf:known/data"]}}
    found = doctor.check_data(patient(tmp_path, values))
    assert (found.status, found.details) == ("PASS", {"hf:known/data": "on the hub"})
    assert list(tmp_path.iterdir()) == []
    values = {"dataset": {"mix": [{"hub": "gone/data", "weight": 1}]}}  # type: ignore[dict-item]
    found = doctor.check_data(patient(tmp_path, values))
    assert (found.status, "404" in found.found) == ("FAIL", True)


def test_offline_and_unreachable_are_told_apart(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = patient(tmp_path, {"model": {"name": "known/model"}})
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in doctor.check_model(one).found
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in doctor.check_model(one).found


def test_the_command_says_it_in_words_json_and_exit_code(tmp_path: Path) -> None:
    init.make(tmp_path / "ws", sample=True)
    done = factory("doctor", "--json", cwd=tmp_path / "ws")
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["ready"] else 1)
    assert report["checks"] == len(doctor.CHECKS)
    (tmp_path / "ws" / "training-config.json").write_text('{"lora": {"lora_alfa": 1}}')
    done = factory("doctor", cwd=tmp_path / "ws")
    assert done.returncode == 1
    assert "did you mean" in done.stdout


# What a machine may be like: files to put into a folder on PATH, and changes of the environment.
# None takes a variable away; {bin} and {file} are that folder and a plain file in it.
ODD_MACHINES: dict[str, tuple[dict[str, str], dict[str, str | None], str]] = {
    "nvidia-smi prints bytes": (
        {"nvidia-smi": "printf '\\377\\376x, \\200,y,\\n'; exit 9"},
        {},
        "shows no GPU",
    ),
    "nvidia-smi has no driver": (
        {"nvidia-smi": "echo 'NVIDIA-SMI has failed: no driver' >&2; exit 9"},
        {},
        "shows no GPU: NVIDIA-SMI has failed: no driver",
    ),
    "nvidia-smi cannot run": ({"nvidia-smi": ""}, {}, ""),
    "a GPU without memory of its own": (
        {
            "nvidia-smi": 'if [ "$1" = -L ]; then echo "GPU 0: NVIDIA GB10"; '
            "else echo 'NVIDIA GB10, [N/A], [N/A], 12.1'; fi"
        },
        {},
        "accelerator: NVIDIA GB10",
    ),
    "no home": ({}, {"HOME": None, "XDG_CACHE_HOME": None}, ""),
    "a home that is not there": ({}, {"HOME": "/nonexistent/home", "HF_HOME": None}, ""),
    "a cache that cannot be written": ({}, {"HF_HOME": "{file}"}, "[WARN] cache"),
    "no programs at all": ({}, {"PATH": "{bin}"}, ""),
    "a plain locale": ({}, {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, ""),
    "an unknown locale": ({}, {"LANG": "xx_YY.FOO", "LC_ALL": "xx_YY", "TZ": "Nowhere"}, ""),
    "odd variables": ({}, {"CUDA_VISIBLE_DEVICES": "-1,x", "COLUMNS": "many", "TERM": ""}, ""),
    "packages in ruins": ({}, {"PYTHONPATH": "{bin}:" + str(ROOT)}, "not installed: peft"),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "wörk space"
    init.make(folder, sample=True)
    return folder


@pytest.mark.parametrize("oddity", ODD_MACHINES)
def test_an_odd_machine_is_examined_to_the_end(
    workspace: Path, tmp_path: Path, oddity: str
) -> None:
    programs, changes, said = ODD_MACHINES[oddity]
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n" if script else "")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "file").write_text("")
    # A distribution whose files are gone but for its folder.
    (tmp_path / "peft-0.21.2.dist-info").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    for name, value in changes.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value.format(bin=tmp_path, file=tmp_path / "file")
    done = subprocess.run(
        [sys.executable, "-m", "factory", "doctor"],
        cwd=workspace,
        env=environment,
        capture_output=True,
        timeout=60,
    )
    told, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    assert done.returncode in (0, 1), errors
    assert errors == ""
    assert f"/{len(doctor.CHECKS)} checks passed" in told
    assert "could not be checked" not in told
    assert said in told
    lines = told.splitlines()
    for number, line in enumerate(lines):
        if line.startswith(("[WARN]", "[FAIL]")):
            assert lines[number + 1].lstrip().startswith("->"), f"no fix after {line}"


def test_a_user_without_a_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "FACTORY_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    findings = {finding.check: finding for finding in doctor.examine(Workspace(tmp_path)).findings}
    assert (findings["kit"].status, "FACTORY_CACHE" in findings["kit"].fix) == ("FAIL", True)
    assert not [one for one in findings.values() if "could not be checked" in one.found]


def test_a_hub_that_is_down_is_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    found = doctor.check_model(patient(tmp_path, {"model": {"name": "known/model"}}))
    assert (found.status, "cannot be reached" in found.found) == ("FAIL", True)
    assert doctor.HUB_TIMEOUT <= 5
