"""The spool: what a killed run left of its own goes, and nothing else."""

from __future__ import annotations

from pathlib import Path

from factory.data.spool import Spool


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    killed = Spool(tmp_path)
    (killed.folder / "part-0-1.jsonl").write_text("{}")
    (tmp_path / "gates").mkdir()
    with Spool(tmp_path) as spool:
        assert set(tmp_path.iterdir()) == {tmp_path / "gates", spool.folder}
    killed._folder.cleanup()
