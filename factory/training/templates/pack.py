"""Pack what scripts/train.py made, to be taken home: python scripts/pack.py RESULT.tar.gz

At home: python -m factory script --collect RESULT.tar.gz
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

SUMS = "SHA256SUMS"


def main(target: str) -> int:
    """Write the archive: every result with its checksum, and what it was made from."""
    root = Path(__file__).resolve().parent.parent
    settings = json.loads((root / "scripts/train.json").read_text(encoding="utf-8"))
    parts = [settings["save"][name] for name in ("lora", "merged", "gguf")]
    parts += [*settings["files"].values(), "scripts/train.json", "scripts/bundle.json"]
    found = [file for part in parts for file in files_of(root / part)]
    sums = []
    with tarfile.open(target, "w:gz") as archive:
        for file in found:
            name = file.relative_to(root).as_posix()
            digest = hashlib.sha256()
            with file.open("rb") as content:
                while piece := content.read(1 << 20):
                    digest.update(piece)
            sums.append(f"{digest.hexdigest()}  {name}\n")
            archive.add(file, arcname=name, recursive=False)
        text = "".join(sums).encode()
        entry = tarfile.TarInfo(SUMS)
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    print(f"{target}: {len(found)} files")
    return 0


def files_of(path: Path) -> list[Path]:
    """A file, or the files below a folder, without hidden ones."""
    if path.is_file():
        return [path]
    found = (file for file in path.rglob("*") if file.is_file())
    return sorted(f for f in found if not any(p.startswith(".") for p in f.relative_to(path).parts))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
