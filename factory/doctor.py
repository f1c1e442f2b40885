"""`factory doctor`: is this machine, and this workspace, ready to train?

Each check looks at one thing and says PASS, WARN or FAIL, what it found, and how to mend it.
Nothing is imported that costs seconds, nothing is downloaded, nothing is changed.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal

from factory import estimate, hardware, kit, layers
from factory.architecture import Architecture, of_model
from factory.config import HUB_ID, Config
from factory.errors import FactoryError
from factory.hardware import GIB, Machine
from factory.kit import trial
from factory.workspace import Workspace

GB = 1_000_000_000
Status = Literal["PASS", "WARN", "FAIL"]
OLDEST_PYTHON = (3, 10)
# The releases that were tested together (constraints.txt); a test keeps the two equal.
TESTED = {
    "torch": "2.13.0",
    "transformers": "5.17.0",
    "trl": "1.15.0" if sys.version_info >= (3, 11) else "1.14.2",
    "peft": "0.21.2",
    "accelerate": "1.15.0",
    "datasets": "4.8.5",
    "tokenizers": "0.23.3",
    "safetensors": "0.8.0",
    "huggingface_hub": "1.33.0",
    "unsloth": "2026.10.9",
    "unsloth_zoo": "2026.10.9",
}
COMPILED = ("factory.data._plain", "factory.data._lines")  # as in hatch_build.py
# On disk beside the base model: the merged 16-bit model, its GGUF files, checkpoints.
DISK_COPIES = 3
LEAST_DISK_GB = 5
HUB = "https://huggingface.co"
HUB_TIMEOUT = 5.0


@dataclass(frozen=True)
class Finding:
    """What one check found; `fix` is empty when there is nothing to mend."""

    check: str
    status: Status
    found: str
    fix: str = ""
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Patient:
    """What the checks look at. `config` is None where there is no valid one, `fault` says why."""

    workspace: Workspace
    machine: Machine
    config: Config | None
    fault: FactoryError | None

    @property
    def architecture(self) -> Architecture | None:
        """The figures of the configured base model, if they are known without a download."""
        if self.config is None:
            return None
        return of_model(self.config.model.name, root=self.workspace.root)


@dataclass(frozen=True)
class Report:
    """All findings."""

    findings: list[Finding]

    @property
    def passed(self) -> int:
        """How many checks passed."""
        return sum(finding.status == "PASS" for finding in self.findings)

    @property
    def ready(self) -> bool:
        """Whether nothing failed."""
        return all(finding.status != "FAIL" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return {
            "ready": self.ready,
            "passed": self.passed,
            "checks": len(self.findings),
            "findings": [asdict(finding) for finding in self.findings],
        }


def examine(workspace: Workspace) -> Report:
    """Run every check."""
    config, fault = _configuration(workspace)
    patient = Patient(workspace, hardware.detect(), config, fault)
    return Report([_run(check, patient) for check in CHECKS])


def _configuration(workspace: Workspace) -> tuple[Config | None, FactoryError | None]:
    try:
        return layers.load(workspace.config_path).config, None
    except FactoryError as error:
        return None, error


def _run(check: Callable[[Patient], Finding], patient: Patient) -> Finding:
    """One check; a machine that it did not foresee is a finding, not a crash."""
    name = check.__name__.removeprefix("check_")
    try:
        return check(patient)
    except FactoryError as error:
        return Finding(name, "FAIL", error.message, error.hint or "see the message")
    except Exception as error:  # the one thing a doctor may not do is fall ill
        found = f"could not be checked ({type(error).__name__}: {error})"
        return Finding(name, "WARN", found, "report this as a bug")


def check_python(patient: Patient) -> Finding:
    """Python is new enough."""
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        return Finding("python", "FAIL", f"Python {version}", f"install Python {needed} or newer")
    return Finding("python", "PASS", f"Python {version}", details={"path": sys.executable})


def check_packages(patient: Patient) -> Finding:
    """The training stack is installed, in the versions that were tested together."""
    installed = {name: _version(name) for name in TESTED}
    details = {name: version or "not installed" for name, version in installed.items()}
    missing = [name for name, version in installed.items() if version is None]
    if missing:
        found = f"not installed: {', '.join(missing)}"
        return Finding("packages", "FAIL", found, "make setup", details)
    other = [
        f"{name} {version} (tested: {TESTED[name]})"
        for name, version in installed.items()
        if version and version.partition("+")[0] != TESTED[name]
    ]
    if other:
        return Finding("packages", "WARN", "; ".join(other), "make setup", details)
    found = f"all {len(TESTED)} of the training stack, as tested together"
    return Finding("packages", "PASS", found, details=details)


def check_compiled(patient: Patient) -> Finding:
    """The parts of stage format that are not Python were compiled."""
    missing = [name for name in COMPILED if util.find_spec(name) is None]
    if missing:
        return Finding(
            "compiled",
            "WARN",
            f"not compiled, so stage format is slower: {', '.join(missing)}",
            "install a C compiler, then: pip install --no-deps --force-reinstall factory "
            "(in a checkout: -e .)",
        )
    return Finding("compiled", "PASS", "what stage format has in C is compiled")


def check_accelerator(patient: Patient) -> Finding:
    """There is a GPU, and the installed torch was built for it."""
    gpu = patient.machine.accelerator
    if gpu is None:
        found = f"none: training runs on {patient.machine.cores} cores of {patient.machine.cpu}"
        fix = "fine for small models; for others use a GPU machine (pip install '.[gpu]')"
        return Finding("accelerator", "WARN", found, fix)
    details = {
        f"{index}: {other.name}": f"{other.memory / GIB:.0f} GiB, "
        f"compute capability {other.compute_capability or 'unknown'}, "
        f"bf16 {'yes' if other.bf16 else 'no'}"
        for index, other in enumerate(patient.machine.accelerators)
    }
    found = f"{gpu.name}, {gpu.memory / GIB:.0f} GiB, {gpu.kind}"
    if gpu.kind == "cuda" and _torch_build("cuda") is None:
        return Finding(
            "accelerator",
            "FAIL",
            f"{found}, but the installed torch is built without CUDA",
            "pip install '.[gpu]'",
            details,
        )
    if gpu.kind == "rocm" and _torch_build("hip") is None:
        found = f"{found}, but the installed torch is built without ROCm"
        return Finding("accelerator", "FAIL", found, "install torch's ROCm build", details)
    return Finding("accelerator", "PASS", found, details=details)


def check_bf16(patient: Patient) -> Finding:
    """bfloat16 is computed in hardware."""
    gpu = patient.machine.accelerator
    supported = gpu.bf16 if gpu else patient.machine.cpu_bf16
    where = gpu.name if gpu else patient.machine.cpu
    if supported:
        return Finding("bf16", "PASS", f"{where} computes bfloat16")
    if patient.config is not None and patient.config.training.bf16:
        fix = "python -m factory run finetune --set training.bf16=null"
        return Finding("bf16", "FAIL", f"training.bf16 is on, {where} has none", fix)
    return Finding("bf16", "WARN", f"{where} has none: float16 or float32 is used", "nothing to do")


def check_driver(patient: Patient) -> Finding:
    """The GPU's driver answers."""
    gpu = patient.machine.accelerator
    if fault := hardware.nvidia_fault():
        fix = "reinstall NVIDIA's driver, or restart the machine; without it the CPU trains"
        return Finding("driver", "WARN", f"nvidia-smi is here but shows no GPU: {fault}", fix)
    if gpu is None or gpu.kind != "cuda":
        return Finding("driver", "PASS", "none is needed")
    version = hardware.nvidia_driver()
    if not version:
        return Finding("driver", "FAIL", "nvidia-smi does not say", "install NVIDIA's driver")
    return Finding("driver", "PASS", f"NVIDIA {version}, torch for CUDA {_torch_build('cuda')}")


def check_memory(patient: Patient) -> Finding:
    """The configured run fits the device's memory."""
    machine = patient.machine
    gpu = machine.accelerator
    available = (gpu.memory if gpu else machine.memory) / GB
    where = gpu.name if gpu else "main memory"
    figures = patient.architecture
    if patient.config is None or figures is None:
        found = f"{available:.1f} GB of {where}; what the run needs is not known"
        return Finding("memory", "PASS", found)
    config = patient.config.model_copy(deep=True)
    if gpu is None:
        config.model.load_in_4bit = False
    needs = estimate.estimate(config, figures)
    details = {name: f"{value} GB" for name, value in needs.as_json()["parts_gb"].items()}
    found = f"the run needs about {needs.training:.1f} of {available:.1f} GB of {where}"
    if needs.training > available:
        fix = "python -m factory presets suggest"
        return Finding("memory", "FAIL", found, fix, details)
    if needs.training > 0.9 * available:
        fix = "lower training.per_device_train_batch_size or model.max_seq_length"
        return Finding("memory", "WARN", found, fix, details)
    return Finding("memory", "PASS", found, details=details)


def check_disk(patient: Patient) -> Finding:
    """There is room for the merged model, its GGUF files and the checkpoints."""
    free = shutil.disk_usage(patient.workspace.root).free / GB
    figures = patient.architecture
    size = figures.parameters * estimate.HALF_BYTES / GB if figures else 0.0
    needed = max(DISK_COPIES * size, LEAST_DISK_GB)
    found = f"{free:.1f} GB free, about {needed:.1f} GB needed"
    if free < needed:
        fix = "free some space, or put the workspace on another disk"
        return Finding("disk", "FAIL" if free < needed / 2 else "WARN", found, fix)
    return Finding("disk", "PASS", found)


def check_kit(patient: Patient) -> Finding:
    """llama.cpp's converter, quantizer and runtime are built, and compute."""
    found = kit.find()
    if found is None:
        return Finding("kit", "FAIL", "no llama.cpp kit for this machine", "make setup")
    for problem in trial.problems():
        fix = (
            f"make setup; if that is not it, remove {found.path} and compile it otherwise (CC, CXX)"
        )
        return Finding("kit", "FAIL", problem, fix)
    return Finding(
        "kit", "PASS", f"llama.cpp kit {found.version}", details={"path": str(found.path)}
    )


def check_configuration(patient: Patient) -> Finding:
    """The configuration is valid."""
    if patient.fault is not None:
        hint = patient.fault.hint or "python -m factory config validate"
        return Finding("configuration", "FAIL", patient.fault.message, hint)
    name = patient.config.preset if patient.config else None
    return Finding("configuration", "PASS", f"valid{f', on preset {name}' if name else ''}")


def check_data(patient: Patient) -> Finding:
    """The raw examples are there, or the hub has them: nothing is fetched for a check."""
    if patient.config is None:
        return Finding("data", "WARN", "not known without a configuration", "mend that first")
    from factory.console import Console
    from factory.context import Context
    from factory.data import hub, sources

    config = patient.config.model_copy(deep=True)
    entries = config.dataset.entries()
    for entry in entries:
        if entry.hub and hub.commit(entry, patient.workspace.hub) is None:
            asked = _hub("data", "datasets", entry.hub)
            if asked.status != "PASS":
                return asked
    config.dataset.mix = []
    config.dataset.sources = [entry for entry in entries if not entry.hub]
    found = sources.configured(Context(patient.workspace, config, Console(quiet=True)))
    details = {source.name: f"{source.path.stat().st_size} bytes" for source in found}
    details |= {f"hf:{entry.hub}": "on the hub" for entry in entries if entry.hub}
    told = f"{len(found)} files of raw examples" if found else "raw examples on the hub"
    return Finding("data", "PASS", told, details=details)


def check_model(patient: Patient) -> Finding:
    """The base model is here, or can be had from the hub."""
    if patient.config is None:
        return Finding("model", "WARN", "not known without a configuration", "mend that first")
    name = patient.config.model.name
    if (patient.workspace.root / name).is_dir():
        return Finding("model", "PASS", f"{name} is here")
    if not HUB_ID.match(name):
        fix = "set model.name to a folder or a Hugging Face model id"
        return Finding("model", "FAIL", f"{name} is neither a folder nor a model id", fix)
    if _is_cached(name):
        return Finding("model", "PASS", f"{name} is in the hub's cache")
    return _hub("model", "models", name)


def check_cache(patient: Patient) -> Finding:
    """Downloads have a folder to go to."""
    folder = _hub_cache()
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding("cache", "PASS", f"downloads go to {folder}")
    local = patient.config is not None and (
        (patient.workspace.root / patient.config.model.name).is_dir()
    )
    fix = "set HF_HOME to a folder that can be written"
    return Finding("cache", "WARN" if local else "FAIL", f"{there} cannot be written", fix)


def _hub(check: str, kind: str, name: str) -> Finding:
    """Whether the hub answers; asked only when something has to be got from it."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        found = f"{name} is not in the cache, and HF_HUB_OFFLINE is set"
        return Finding(check, "FAIL", found, "unset HF_HUB_OFFLINE, or copy it here")
    from urllib import error, request

    endpoint = os.environ.get("HF_ENDPOINT", HUB)
    try:
        with request.urlopen(f"{endpoint}/api/{kind}/{name}", timeout=HUB_TIMEOUT):
            return Finding(check, "PASS", f"{name} will be fetched from {endpoint}")
    except error.HTTPError as answer:
        fix = "check the id; for a gated one accept its licence and set HF_TOKEN"
        return Finding(check, "FAIL", f"{endpoint} answers {answer.code} for {name}", fix)
    except (OSError, ValueError) as failure:
        fix = "check the network, or set HF_ENDPOINT, or copy it into the workspace"
        return Finding(check, "FAIL", f"{endpoint} cannot be reached ({failure})", fix)


def _is_cached(name: str) -> bool:
    folder = _hub_cache() / f"models--{name.replace('/', '--')}"
    return any(folder.glob("snapshots/*/config.json"))


def _hub_cache() -> Path:
    """Where huggingface_hub keeps models, by its own variables and order."""
    general = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    home = os.environ.get("HF_HOME") or os.path.join(general, "huggingface")
    return Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except (metadata.PackageNotFoundError, KeyError, TypeError, OSError):
        return None  # or its folder is damaged, which is mended the same way


def _torch_build(platform_name: Literal["cuda", "hip"]) -> str | None:
    """The CUDA or ROCm version torch was built for, read without importing it."""
    try:
        spec = util.find_spec("torch")
        if spec is None or spec.origin is None:
            return None
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except (OSError, ValueError):  # half an installation
        return None
    found = re.search(rf"^{platform_name}\b.*=\s*'([^']+)'", text, re.MULTILINE)
    return found[1] if found else None


CHECKS: tuple[Callable[[Patient], Finding], ...] = (
    check_python,
    check_packages,
    check_compiled,
    check_accelerator,
    check_driver,
    check_bf16,
    check_memory,
    check_disk,
    check_kit,
    check_configuration,
    check_data,
    check_model,
    check_cache,
)
