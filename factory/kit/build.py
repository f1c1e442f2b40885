"""Compile the pinned release once and assemble a kit from it, all or nothing."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from factory import storage
from factory.child import tail
from factory.kit import cache, source
from factory.kit.cache import Kit
from factory.kit.source import PINNED, KitError

Report = Callable[[str], None]

TEMPORARY_PREFIX = ".building-"
# What a kit takes from llama.cpp's tree: its converters with their libraries, the reference
# vocabularies and templates (tests read them), the licences.
LLAMA_CPP_PARTS = (
    *("convert_hf_to_gguf.py", "convert_lora_to_gguf.py", "conversion", "gguf-py", "models"),
    *("LICENSE", "licenses", "AUTHORS"),
)
NINJA_STEP = re.compile(r"^\s*\[(\d+)/(\d+)\]")

# llama.cpp's `common` library (chat parsing, an HTTP client) is for its own programs. Upstream
# turns it off for WebAssembly; nothing in the binding uses it, and it is a third of the compile.
COMMON_ON = 'set(LLAMA_BUILD_COMMON ON CACHE BOOL "Build llama.cpp common library" FORCE)'
COMMON_OFF = COMMON_ON.replace(" ON ", " OFF ")

# The converter recognises a BPE tokenizer by a hash of token ids, so one trained at home is
# always unknown to it. Ask our table of pre-tokenizer regexes before it gives up.
UNKNOWN_TOKENIZER = '        if res is None:\n            logger.warning("\\n")\n'
ASK_OUR_TABLE = """\
        if res is None:
            from .factory_pretokenizer import llama_cpp_name
            res = llama_cpp_name(self.dir_model)

"""

# Unsloth writes its own name and hub address into the metadata of every GGUF by editing this
# file in place, unless it finds its mark. A kit is shared and hashed, and a released file must
# not claim to come from somebody else's repository, so the mark is set from the start.
UNSLOTH_MARK = (
    "\n# UNSLOTH_BRANDING_APPLIED (set by the factory: kit files are shared and hashed)\n"
)

QUANTIZE_LAUNCHER = """\
#!/bin/sh
# Runs in the caller's environment: a kit belongs to no single one.
here=$(dirname "$(readlink -f "$0")")
exec "${FACTORY_PYTHON:-python3}" "$here/quantize.py" "$@"
"""


def build(report: Report) -> Kit:
    """Build the kit for this machine, or return it if another process has meanwhile.

    Works in a temporary folder beside the result and renames at the end: an interrupted build
    leaves nothing that `find` could take for a kit. `report` gets one line per thing to know.
    """
    with cache.building() as folder:
        kit = cache.find()
        if kit is not None:
            return kit
        _remove_leftovers(folder)
        report(f"llama.cpp kit {PINNED.version}, from its source distribution (77 MB)")
        sdist = source.fetch(folder)
        work = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=folder))
        try:
            os.replace(_assemble(sdist, work, report), cache.kit_path())
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return cache.require()


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed build left; only the holder of the lock may do this."""
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


def _assemble(sdist: Path, work: Path, report: Report) -> Path:
    """Make the whole kit below `work` and return its folder, manifest last."""
    tree = source.unpack(sdist, work)
    kit = work / "kit"
    wheels = kit / "wheels"
    wheels.mkdir(parents=True)
    cost = _provide_wheels(tree, wheels, report)
    _take_parts(tree, kit)
    _add_own_parts(kit)
    _write_manifest(kit, cost)
    return kit


def _provide_wheels(tree: Path, wheels: Path, report: Report) -> dict[str, float]:
    """Put the wheels into `wheels` and return what compiling them cost."""
    for manifest in cache.root().glob(f"{PINNED.version}-{cache.build_key()}-*/{cache.MANIFEST}"):
        cost = _reuse_wheels(manifest, wheels)
        if cost is not None:
            report("  reusing the libraries compiled before")
            return cost
    return _compile_wheels(tree, wheels, report)


def _reuse_wheels(manifest: Path, wheels: Path) -> dict[str, float] | None:
    """Copy the wheels of a kit with the same compiled code; None if they are not as built."""
    older = json.loads(manifest.read_text(encoding="utf-8"))
    sources = [manifest.parent / name for name in older["files"] if name.startswith("wheels/")]
    for path in sources:
        expected = older["files"][path.relative_to(manifest.parent).as_posix()]
        if not path.is_file() or storage.sha256_file(path) != expected:
            return None
    for path in sources:
        shutil.copy2(path, wheels)
    return dict(older["build"])


def _compile_wheels(tree: Path, wheels: Path, report: Report) -> dict[str, float]:
    """Compile llama-cpp-python and build gguf, both from `tree`."""
    log = cache.root() / f"build-{PINNED.version}-{cache.build_key()}.log"
    log.unlink(missing_ok=True)
    started, cpu_before = time.monotonic(), _children_cpu_seconds()
    edit(tree / "CMakeLists.txt", COMMON_ON, COMMON_OFF)
    report(f"  compiling for this CPU (log: {log})")
    _build_wheel(tree, wheels, log, report)
    _build_wheel(tree / "vendor" / "llama.cpp" / "gguf-py", wheels, log, report)
    cost = {
        "wall_seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(_children_cpu_seconds() - cpu_before, 1),
    }
    report(f"  compiled in {cost['wall_seconds']:.0f} s ({cost['cpu_seconds']:.0f} s of CPU time)")
    return cost


def _children_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def edit(path: Path, old: str, new: str) -> None:
    """Replace `old`, which has to be in the file exactly once, by `new`; KitError otherwise."""
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise KitError(
            f"expected exactly one {old.strip().splitlines()[0]!r}, found {text.count(old)}",
            where=str(path),
            hint="the pinned release changed: adapt the edits in factory/kit/build.py",
        )
    path.write_text(text.replace(old, new), encoding="utf-8")


def _build_wheel(tree: Path, wheels: Path, log: Path, report: Report) -> None:
    """Build the wheel of the project in `tree` into `wheels`, reporting compile steps."""
    environment = {
        **os.environ,
        "CMAKE_ARGS": " ".join(cache.CMAKE_ARGS),
        # Development files that would land as `include/` and `lib/` in site-packages.
        "SKBUILD_WHEEL_EXCLUDE": "/include/**;/lib/**",
    }
    command = [
        *(sys.executable, "-m", "pip", "wheel", "--verbose", "--no-deps", "--no-cache-dir"),
        *("--wheel-dir", str(wheels), str(tree)),
    ]
    code = _run_logged(command, environment, log, _step_reporter(report))
    if code != 0:
        raise KitError(
            f"the build ended with code {code}:\n{tail(log)}",
            where=str(log),
            hint="a C++17 compiler is needed (Debian: apt install build-essential); see the log",
        )


def _step_reporter(report: Report, every_seconds: float = 10) -> Callable[[str], None]:
    """A reader of build output that reports `compiling 12/96` at most every few seconds."""
    started = time.monotonic()
    next_at = started + every_seconds

    def read(line: str) -> None:
        nonlocal next_at
        step = NINJA_STEP.match(line)
        now = time.monotonic()
        if step and now >= next_at:
            next_at = now + every_seconds
            report(f"  compiling {step[1]}/{step[2]}, {now - started:.0f} s")

    return read


def _run_logged(
    command: Sequence[str], environment: dict[str, str], log: Path, on_line: Callable[[str], None]
) -> int:
    """Run `command`, append its output to `log`, and stop the whole group if we are stopped."""
    with log.open("a", encoding="utf-8") as log_file:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                log_file.write(line)
                log_file.flush()
                on_line(line)
            return process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise


def _take_parts(tree: Path, kit: Path) -> None:
    """Move llama.cpp's parts of the kit there and make the two edits that they need."""
    for name in LLAMA_CPP_PARTS:
        shutil.move(tree / "vendor" / "llama.cpp" / name, kit / name)
    shutil.copy2(tree / "LICENSE.md", kit / "LICENSE-llama-cpp-python.md")
    base = kit / "conversion" / "base.py"
    edit(base, UNKNOWN_TOKENIZER, ASK_OUR_TABLE + UNKNOWN_TOKENIZER)
    base.write_text(base.read_text(encoding="utf-8") + UNSLOTH_MARK, encoding="utf-8")


def _add_own_parts(kit: Path) -> None:
    own = Path(__file__).parent
    shutil.copy2(own / "pretokenizer.py", kit / "conversion" / "factory_pretokenizer.py")
    shutil.copy2(own / "quantize.py", kit / "quantize.py")
    launcher = kit / "llama-quantize"
    launcher.write_text(QUANTIZE_LAUNCHER, encoding="utf-8")
    launcher.chmod(0o755)
    # Without this file Unsloth takes the folder for a broken checkout and may delete it.
    storage.write_json(
        kit / "UNSLOTH_PREBUILT_INFO.json",
        {
            "source": f"llama-cpp-python {PINNED.version} source distribution",
            "repo": "ggml-org/llama.cpp",
            "tag": PINNED.llama_cpp_commit,
        },
    )


def _write_manifest(kit: Path, cost: dict[str, float]) -> None:
    """Write the manifest: what this kit is and the hash of every file in it."""
    paths = storage.list_files(kit)
    hashes = {path.relative_to(kit).as_posix(): storage.sha256_file(path) for path in paths}
    storage.write_json(
        kit / cache.MANIFEST,
        {
            "schema_version": 1,
            "llama_cpp_python": PINNED.version,
            "llama_cpp_commit": PINNED.llama_cpp_commit,
            "sdist_sha256": PINNED.sdist_sha256,
            "cmake_args": cache.CMAKE_ARGS,
            "cpu_features": cache.cpu_features(),
            "build": cost,
            "files": hashes,
        },
    )
