"""What this machine is: cores, memory, accelerator, and the number formats it computes fast in.

Read from the system, not from torch, so that the parent process stays light. Containers count:
cores are those this process may use, memory is what its control group allows.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from factory.artifacts import Decision

GIB = 1024**3
SMALL_MODEL = 100_000_000  # parameters; below it, threads cost more than they bring
PROGRAM_TIMEOUT = 10.0  # seconds: nvidia-smi takes some to wake eight sleeping GPUs
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Accelerator:
    """One GPU."""

    kind: Literal["cuda", "rocm", "mps"]
    name: str
    memory: int
    free_memory: int
    bf16: bool
    compute_capability: str = ""


@dataclass(frozen=True)
class Machine:
    """Sizes in bytes; `memory` is what may be used in all, `free_memory` what is free now."""

    cores: int
    memory: int
    free_memory: int
    cpu: str
    cpu_bf16: bool
    accelerators: tuple[Accelerator, ...] = ()

    @property
    def accelerator(self) -> Accelerator | None:
        """The first GPU, which training uses."""
        return self.accelerators[0] if self.accelerators else None

    def as_json(self) -> dict[str, Any]:
        """For reports."""
        return asdict(self)

    def describe(self) -> str:
        """One line for a person."""
        gpu = self.accelerator
        where = f"{gpu.name} ({gpu.memory / GIB:.0f} GiB)" if gpu else "no GPU"
        return f"{self.cores} cores, {self.memory / GIB:.1f} GiB memory, {where}"


def detect() -> Machine:
    """Look at this machine."""
    flags = cpu_flags()
    total, free = _memory()
    return Machine(
        cores=usable_cores(),
        memory=total,
        free_memory=free,
        cpu=_cpu_name(),
        cpu_bf16=has_bf16(flags, platform.machine()),
        accelerators=() if os.environ.get("UNSLOTH_FORCE_CPU") == "1" else _accelerators(),
    )


def usable_cores() -> int:
    """Cores this process may use: affinity, and the CPU quota of its control group."""
    affinity = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota, _, period = _read(CGROUP / "cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        return max(1, min(affinity, int(quota) // int(period)))
    return affinity


def threads_for(model_folder: Path, configured: int | None) -> Decision:
    """How many threads compute the model in `model_folder` on a CPU, and why."""
    from factory import tensors

    if configured is not None:
        return Decision(value=configured, reason="training.num_threads")
    size = tensors.parameters(model_folder)
    if size < SMALL_MODEL:
        return Decision(
            value=1,
            reason=f"{size / 1e6:.1f} M parameters: threads would wait for each other, and one "
            "thread gives the same bits each time",
        )
    return Decision(value=usable_cores(), reason="all usable cores")


def cpu_flags() -> frozenset[str]:
    """Instruction-set flags of the CPU (Linux), empty where they cannot be read."""
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return frozenset(value.lower().split())
    return frozenset()


def has_bf16(flags: frozenset[str], machine: str) -> bool:
    """Whether bfloat16 is computed in hardware; elsewhere it is emulated, several times slower.

    The same rule as Unsloth's CPU backend (unsloth_zoo.cpu.runtime.cpu_bf16_supported).
    """
    if machine.lower() in ("x86_64", "amd64"):
        return bool(flags & {"amx_bf16", "avx512_bf16"})
    return machine.lower() in ("aarch64", "arm64") and "bf16" in flags


def _memory() -> tuple[int, int]:
    lines = (line.partition(":") for line in _read(Path("/proc/meminfo")).splitlines())
    info = {name: value for name, _, value in lines}
    if info:
        total, free = (_kib(info.get(name, "0")) for name in ("MemTotal", "MemAvailable"))
    else:  # macOS
        total = free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, used = _read(CGROUP / "memory.max").strip(), _read(CGROUP / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        total, free = min(total, int(limit)), min(free, int(limit) - int(used))
    return total, max(free, 0)


def _kib(text: str) -> int:
    number = text.strip().partition(" ")[0]
    return int(number) * 1024 if number.isdigit() else 0


def _cpu_name() -> str:
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _accelerators() -> tuple[Accelerator, ...]:
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        total, free = _memory()
        return (Accelerator("mps", "Apple GPU", total, free, bf16=True),)
    return _nvidia() or _amd()


def _nvidia() -> tuple[Accelerator, ...]:
    """GPUs by nvidia-smi, in the order and number CUDA_VISIBLE_DEVICES allows."""
    fields = "name,memory.total,memory.free,compute_cap"
    query = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    found = []
    for line in _output(query).splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 4 and parts[3].replace(".", "", 1).isdigit():
            # A GPU that shares the main memory gives none of its own ("[N/A]").
            own = all(part.isdigit() for part in parts[1:3])
            total, free = [int(part) * 1024**2 for part in parts[1:3]] if own else _memory()
            recent = int(parts[3].partition(".")[0]) >= 8  # Ampere brought bfloat16
            found.append(Accelerator("cuda", parts[0], total, free, recent, parts[3]))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(found)
    chosen = [int(part) for part in visible.split(",") if part.strip().isdigit()]
    return tuple(found[index] for index in chosen if index < len(found))


def nvidia_fault() -> str:
    """What nvidia-smi says if it is here but shows no GPU; empty if it is not, or shows one."""
    if shutil.which("nvidia-smi") is None:
        return ""
    said = _output(["nvidia-smi", "-L"], errors=True).strip()
    if said.startswith("GPU "):
        return ""
    return said.partition("\n")[0] or "it does not answer"


def nvidia_driver() -> str:
    """The version of NVIDIA's driver, empty where nvidia-smi does not say."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return _output(query).partition("\n")[0].strip()


def _amd() -> tuple[Accelerator, ...]:
    """GPUs of the kernel's amdgpu driver."""
    found = []
    for card in sorted(Path("/sys/class/drm").glob("card*/device/mem_info_vram_total")):
        total, used = _read(card).strip(), _read(card.with_name("mem_info_vram_used")).strip()
        if total.isdigit() and used.isdigit() and int(total) > 2 * GIB and _has_rocm():
            found.append(
                Accelerator("rocm", "AMD GPU", int(total), int(total) - int(used), bf16=True)
            )
    return tuple(found)


def _has_rocm() -> bool:
    return Path("/dev/kfd").exists()


def _output(command: list[str], *, errors: bool = False) -> str:
    """What a program prints, with `errors` on both streams; empty if it cannot or does not."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=PROGRAM_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
