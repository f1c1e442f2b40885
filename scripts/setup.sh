#!/usr/bin/env bash
#
# Set up everything in .venv: the training stack, Unsloth, llama.cpp, this package.
#
#   scripts/setup.sh                        what `make demo` and `make test` call first
#   PYTHON=python3.12 scripts/setup.sh      with another interpreter (3.10 or newer)
#
# Each step is remembered by a hash of what went into it and into the steps before it, so a
# second call does nothing and takes a fraction of a second. pip's own configuration and
# environment (index, proxy, certificates, wheel folders) are honoured; torch comes as the CPU
# or the CUDA build, whichever that configuration prefers.
#
# FACTORY_CACHE (default ~/.cache/factory) keeps the compiled llama.cpp, one for each kind of CPU.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv
readonly PY=$VENV/bin/python
readonly STAMPS=$VENV/.setup
readonly LOGS=logs/setup
readonly STEPS=6
# What pip compiles with the factory.
readonly COMPILED=(hatch_build.py factory/data/_*.c factory/data/vendor/xxhash.h)
readonly TORCH=torch==2.13.0
readonly UNSLOTH="unsloth==2026.10.9 unsloth_zoo==2026.10.9"
# .venv takes 1.7 GB with a CPU build of torch, compiling llama.cpp another 0.6 GB for a while.
readonly NEEDED_KB=$((3 * 1024 * 1024))

export PIP_DISABLE_PIP_VERSION_CHECK=1
# Also for the isolated environments in which pip builds wheels (pip 25.3 renamed that one).
# A relative path, because pip splits these values at spaces.
export PIP_CONSTRAINT="constraints.txt${PIP_CONSTRAINT:+ $PIP_CONSTRAINT}"
export PIP_BUILD_CONSTRAINT="constraints.txt"

main() {
    trap stopped INT TERM
    one_at_a_time
    find_python
    "$PY" -m factory.kit path >/dev/null 2>&1 || forget 5 # built for another CPU, or removed

    step 1 "virtual environment: $VENV, Python $PYTHON_VERSION" make_venv "$BASE_PYTHON $PWD"
    step 2 "$TORCH" install_torch "$TORCH"
    step 3 "training stack, development tools and the factory" install_factory \
        "$(cat constraints.txt constraints-dev.txt pyproject.toml "${COMPILED[@]}")"
    step 4 "Unsloth" install_unsloth "$UNSLOTH"
    step 5 "llama.cpp kit, compiled once for this CPU" install_kit ""
    step 6 "self-check" self_check ""

    if ((ran == 0)); then
        echo "set-up is up to date"
    else
        echo "set-up done in $SECONDS s"
        mention_gpu
    fi
}

# --- the steps ------------------------------------------------------------------------------

make_venv() {
    check_tools
    check_space
    rm -rf "$VENV"
    mkdir -p "$STAMPS" # first, so that an interrupted folder is known to be ours
    "$BASE_PYTHON" -m venv "$VENV"
    "$PY" -m pip install --quiet --upgrade pip
}

install_torch() { pip_install "$TORCH"; }

install_factory() { pip_install --constraint constraints-dev.txt --editable '.[train,dev]'; }

# Unsloth's metadata asks for CUDA-only packages that training on a CPU does not need.
install_unsloth() {
    # shellcheck disable=SC2086  # two requirements
    pip_install --no-deps $UNSLOTH
}

install_kit() {
    "$PY" -m factory.kit path >/dev/null 2>&1 || check_compiler
    "$PY" -m factory.kit install
}

self_check() {
    "$PY" -m factory.kit check
    UNSLOTH_DISABLE_STATISTICS=1 "$PY" -c 'import unsloth, trl, llama_cpp, factory'
}

pip_install() { "$PY" -m pip install --progress-bar raw "$@"; }

# --- what has to be there -------------------------------------------------------------------

find_python() {
    local candidates=(python3 python3.13 python3.12 python3.11 python3.10) candidate found
    if [[ -n ${PYTHON:-} ]]; then
        candidates=("$PYTHON")
    elif [[ -f $STAMPS/1 ]] && "$PY" -c '' 2>/dev/null; then
        candidates=("$PY") # without a wish, stay with what .venv was made with
    fi
    for candidate in "${candidates[@]}"; do
        # The interpreter behind a virtual environment, so that an activated .venv is no other.
        found=$("$candidate" -c '
import os, platform, sys
if sys.version_info >= (3, 10):
    base = getattr(sys, "_base_executable", sys.executable)
    print(platform.python_version(), os.path.realpath(base))' 2>/dev/null) || continue
        [[ -n $found ]] || continue
        PYTHON_VERSION=${found%% *}
        BASE_PYTHON=${found#* }
        return
    done
    fail "looking for Python" "none of these runs and is 3.10 or newer: ${candidates[*]}" \
        "install Python 3.10 or newer, or name one: PYTHON=/path/to/python3 $0"
}

check_tools() {
    "$BASE_PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
        missing "$BASE_PYTHON has no venv module" "Debian, Ubuntu: sudo apt install python3-venv"
    command -v git >/dev/null ||
        missing "git is not installed" "Debian, Ubuntu: sudo apt install git"
}

check_compiler() {
    command -v "${CXX:-c++}" >/dev/null ||
        missing "there is no C++ compiler (${CXX:-c++})" \
            "Debian, Ubuntu: sudo apt install build-essential; macOS: xcode-select --install"
}

check_space() {
    local free
    free=$(df -Pk . | awk 'NR == 2 { print $4 }')
    ((free >= NEEDED_KB)) ||
        missing "$((free / 1024)) MB free in $PWD, $((NEEDED_KB / 1024)) MB needed" "make space"
}

missing() {
    echo "missing: $1"
    echo "fix: $2"
    return 1
}

# --- running steps --------------------------------------------------------------------------

ran=0     # steps that had something to do
history=  # fingerprint of this step's inputs and of all before it

# step NUMBER NAME FUNCTION INPUTS: run FUNCTION unless it succeeded before with the same inputs.
step() {
    local number=$1 name=$2 function=$3 log="$LOGS/$1-$3.log" started=$SECONDS status
    history=$(printf '%s\n' "$history" "$4" | fingerprint)
    [[ $(cat "$STAMPS/$number" 2>/dev/null) == "$history" ]] && return

    ran=$((ran + 1))
    echo "[$number/$STEPS] $name"
    refuse_foreign_venv
    set +e # bash ignores -e in a tested command, so the status is taken from the pipe
    (
        set -e
        "$function"
    ) </dev/null 2>&1 | tee "$log" | summarise
    status=${PIPESTATUS[0]}
    set -e
    ((status == 0)) || fail "step [$number/$STEPS] $name" "$(tail -n 15 "$log")" \
        "fix what it says and run the same command again (whole log: $log)"
    echo "$history" >"$STAMPS/$number"
    echo "      done in $((SECONDS - started)) s"
}

forget() { rm -f "$STAMPS/$1"; }

fingerprint() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -c 1-64
}

# Show what is going on: downloads of a MB and more, how far a slow one is, what the kit says.
summarise() {
    local line shown=0
    while IFS= read -r line; do
        if [[ $line =~ ^\ *Downloading\ ([A-Za-z0-9_.]+)-.*\(([0-9.]+\ [MG]B)\)$ ]]; then
            shown=$SECONDS
            echo "      downloading ${BASH_REMATCH[1]} (${BASH_REMATCH[2]})"
        elif [[ $line =~ ^Progress\ ([0-9]+)\ of\ ([0-9]+)$ ]] && ((SECONDS - shown >= 5)); then
            shown=$SECONDS
            echo "      $((100 * BASH_REMATCH[1] / BASH_REMATCH[2])) %"
        elif [[ $line == "Installing collected packages"* ]]; then
            echo "      installing $(wc -w <<<"${line#*:}" | tr -d ' ') packages"
        elif [[ $line == "  compil"* || $line == "llama.cpp kit"* || $line == "fix:"* ]]; then
            echo "      ${line#  }"
        fi
    done
}

refuse_foreign_venv() {
    [[ ! -e $VENV || -d $STAMPS ]] || fail "making $VENV" "there is one that $0 did not make" \
        "move it away (mv $VENV $VENV.old) and run the same command again"
}

# Two calls at once would install over each other; the second waits.
one_at_a_time() {
    mkdir -p "$LOGS"
    command -v flock >/dev/null || return 0
    exec 9>"$LOGS/.lock"
    flock --nonblock 9 || {
        echo "waiting for another set-up of this folder"
        flock 9
    }
}

mention_gpu() {
    if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
        echo "There is a GPU here. To train on it: $PY -m pip install '.[gpu]'"
    fi
}

fail() {
    printf '\nset-up failed: %s\n%s\n-> %s\n' "$1" "$2" "$3" >&2
    exit 1
}

stopped() {
    printf '\nset-up stopped; run the same command again to go on\n' >&2
    exit 130
}

main "$@"
