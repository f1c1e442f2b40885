"""Stage format on real files: what it writes, what it refuses, and that it repeats."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from factory import config, pipeline, storage
from factory.artifacts import Decision
from factory.console import Console
from factory.context import Context
from factory.data import lengths
from factory.errors import ConfigError, DataError
from factory.stages import format as stage
from factory.workspace import Workspace
from tests.conftest import ROOT
from tests.data.test_semantic import save_model

SPLITS = ("train", "val", "test")


def workspace(folder: Path, files: dict[str, str], **settings: Any) -> Context:
    """A workspace with the tiny base model's tokenizer and these raw files."""
    (folder / "data" / "raw").mkdir(parents=True)
    shutil.copytree(ROOT / "models" / "base", folder / "models" / "base")
    for name, text in files.items():
        (folder / "data" / "raw" / name).write_text(text, encoding="utf-8")
    values = config.validate({"dataset": {"min_samples": 1, **settings}})
    return Context(Workspace(folder), values, Console(quiet=True))


def run(context: Context) -> dict[str, Decision]:
    return stage.run(context)


def report(context: Context) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(context.workspace.dataset_report.read_text())
    return found


def written(context: Context) -> dict[str, list[dict[str, Any]]]:
    folder = context.workspace.root / "data" / "splits"
    return {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in SPLITS
    }


def rejects(context: Context) -> list[dict[str, Any]]:
    return [json.loads(line) for line in context.workspace.rejects.read_text().splitlines()]


def closed(context: Context) -> set[str]:
    return {check.id for check in stage.judge(context) if check.closed}


def pair(question: str, answer: str = "yes", **more: Any) -> str:
    return json.dumps({"question": question, "answer": answer, **more}) + "\n"


MIXED = {
    "a.jsonl": "".join(pair(f"question {n}") for n in range(200)) + pair("question 3") + "nope\n",
    "b.json": json.dumps(
        [
            {
                "conversations": [
                    {"from": "human", "value": f"ask {n}"},
                    {"from": "gpt", "value": "x"},
                ]
            }
            for n in range(100)
        ]
    ),
    "c.jsonl": pair("long " * 2000) + pair("QUESTION  3"),
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Context:
    context = workspace(tmp_path_factory.mktemp("mixed"), MIXED)
    run(context)
    return context


def test_every_row_is_accounted_for(mixed: Context) -> None:
    found = report(mixed)
    assert [found[k] for k in ("read", "kept", "rejected", "duplicates", "filtered")] == [
        304,
        300,
        1,
        2,
        1,
    ]


def test_shares_of_a_seeded_split_are_exact(mixed: Context) -> None:
    assert {name: len(rows) for name, rows in written(mixed).items()} == {
        "train": 240,
        "val": 30,
        "test": 30,
    }


def test_each_source_has_its_format(mixed: Context) -> None:
    formats = [source["format"] for source in report(mixed)["sources"].values()]
    assert formats == ["pairs", "sharegpt", "pairs"]


def test_rows_left_out_are_named_with_file_line_and_reason(mixed: Context) -> None:
    found = [(r["file"], r["line"], r["reason"]) for r in rejects(mixed)]
    assert found == [
        ("data/raw/a.jsonl", 202, "invalid_json"),
        ("data/raw/a.jsonl", 201, "duplicate"),
        ("data/raw/c.jsonl", 1, "too_long"),
        ("data/raw/c.jsonl", 2, "duplicate"),
    ]
    assert rejects(mixed)[1]["detail"] == "same as data/raw/a.jsonl:4"


def test_ids_are_unique(mixed: Context) -> None:
    ids = Counter(row["id"] for rows in written(mixed).values() for row in rows)
    assert max(ids.values()) == 1


def test_the_gate_is_open(mixed: Context) -> None:
    assert closed(mixed) == set()


def test_two_workers_and_a_second_run_write_the_same_bytes(mixed: Context, tmp_path: Path) -> None:
    context = workspace(tmp_path, MIXED, num_proc=2)
    run(context)
    for name in ("data/splits/train.jsonl", "data/splits/test.jsonl", "metrics/dataset.json"):
        ours = (context.workspace.root / name).read_bytes()
        assert ours == (mixed.workspace.root / name).read_bytes(), name
    assert rejects(context) == rejects(mixed)


def test_predefined_splits_are_kept(tmp_path: Path) -> None:
    rows = [pair(f"q{n}", split=("train", "validation", "test")[n % 3]) for n in range(30)]
    context = workspace(tmp_path, {"a.jsonl": "".join(rows)})
    decisions = run(context)
    assert {name: len(found) for name, found in written(context).items()} == dict.fromkeys(
        SPLITS, 10
    )
    assert decisions["split"].value == "predefined"


def test_a_missing_split_is_carved_out_of_train(tmp_path: Path) -> None:
    files = {
        "train.jsonl": "".join(pair(f"train {n}") for n in range(100)),
        "test.jsonl": "".join(pair(f"test {n}") for n in range(20)),
    }
    context = workspace(tmp_path, files)
    run(context)
    found = {name: len(rows) for name, rows in written(context).items()}
    assert found == {"train": 90, "val": 10, "test": 20}
    assert {row["source"] for row in written(context)["test"]} == {"data/raw/test.jsonl"}


def test_a_test_row_planted_in_train_closes_the_gate(tmp_path: Path) -> None:
    files = {
        "train.jsonl": "".join(pair(f"train {n}") for n in range(50)) + pair("Test  3", "other"),
        "test.jsonl": "".join(pair(f"test {n}") for n in range(20)),
    }
    context = workspace(tmp_path, files)
    run(context)
    assert closed(context) == {"format.leakage"}
    assert report(context)["leakage"]["user_text"] == 1


def test_a_group_never_straddles_splits(tmp_path: Path) -> None:
    rows = [pair(f"q{n}", group=f"g{n // 4}") for n in range(200)]
    context = workspace(tmp_path, {"a.jsonl": "".join(rows)})
    run(context)
    groups = [{row["group"] for row in found} for found in written(context).values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 50


def test_the_same_ids_in_two_files_are_made_unique(tmp_path: Path) -> None:
    files = {
        f"{name}.jsonl": "".join(pair(f"{name} {n}", id=n) for n in range(20)) for name in "ab"
    }
    context = workspace(tmp_path, files)
    run(context)
    ids = [row["id"] for rows in written(context).values() for row in rows]
    assert len(set(ids)) == 40
    assert report(context)["schema_violations"] == 0


def test_rows_of_no_known_format_are_rejects_and_close_the_gate(tmp_path: Path) -> None:
    context = workspace(tmp_path, {"a.jsonl": '{"text": "x"}\n' * 5})
    run(context)
    assert report(context)["reject_reasons"] == {"wrong_format": 5}
    assert {"format.min_samples", "format.splits", "format.rejected_share"} <= closed(context)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_no_row_at_all_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    context = workspace(tmp_path, {"a.jsonl": text})
    with pytest.raises(DataError, match="no rows at all") as caught:
        run(context)
    assert caught.value.where == "data/raw/a.jsonl"


def test_nothing_is_left_behind_in_the_state_folder(mixed: Context) -> None:
    assert list(mixed.workspace.state.iterdir()) == []


def test_real_files_go_through_with_every_rejected_row_explained(
    real_data: Path, tmp_path: Path
) -> None:
    names = [path.name for path in real_data.glob("*.json*") if path.name != "lf_dataset_info.json"]
    context = workspace(tmp_path, {})
    for name in names:
        shutil.copy(real_data / name, context.workspace.root / "data" / "raw" / name)
    run(context)
    found = report(context)
    assert found["read"] == 11_732
    assert len(rejects(context)) == found["rejected"] + found["duplicates"] + found["filtered"]
    assert all(reject["detail"] for reject in rejects(context))
    assert closed(context) == set()


WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"


def near_pairs(n: int) -> tuple[str, str]:
    said = " ".join(f"{word}{n}" for word in WORDS.split())
    return said, said.upper().replace(f"SEVEN{n}", f"seven{n}, ")


def test_near_duplicates_are_dropped_with_their_twins_named(tmp_path: Path) -> None:
    first = "".join(pair(near_pairs(n)[0]) for n in range(20))
    second = "".join(pair(near_pairs(n)[1]) for n in range(20))
    context = workspace(tmp_path, {"a.jsonl": first + second}, near_duplicates="drop")
    run(context)
    assert report(context)["filter_reasons"] == {"near_duplicate": 20}
    assert rejects(context)[0]["detail"] == "almost the same as data/raw/a.jsonl:1"


def test_near_duplicates_never_straddle_splits(tmp_path: Path) -> None:
    rows = [pair(near_pairs(n)[0], "a") + pair(near_pairs(n)[1], "b") for n in range(60)]
    context = workspace(tmp_path, {"a.jsonl": "".join(rows)}, near_duplicates="together")
    run(context)
    for found in written(context).values():
        lines = {int(row["id"].rpartition(":")[2]) for row in found}
        assert {(line - 1) // 2 for line in lines} == {
            (line - 1) // 2 for line in lines if line % 2
        }
        assert len(lines) % 2 == 0


def test_near_duplicates_between_predefined_splits_close_the_gate(tmp_path: Path) -> None:
    files = {
        "train.jsonl": "".join(pair(near_pairs(n)[0]) for n in range(30)),
        "test.jsonl": "".join(pair(near_pairs(n)[1]) for n in range(25, 40)),
    }
    context = workspace(tmp_path, files, near_duplicates="drop")
    run(context)
    assert report(context)["leakage"]["near_duplicate"] == 5
    assert closed(context) == {"format.leakage"}


@pytest.mark.parametrize(
    ("action", "gates"), [("drop", set()), ("report", {"format.contamination"})]
)
def test_rows_of_a_benchmark(tmp_path: Path, action: str, gates: set[str]) -> None:
    rows = "".join(pair(f"{WORDS} {n}") for n in range(40)) + pair(f"Please: {WORDS.upper()} x")
    context = workspace(
        tmp_path,
        {"a.jsonl": "".join(pair(f"question number {n}?") for n in range(40)) + rows},
        decontaminate=["bench.jsonl"],
        contamination=action,
    )
    (tmp_path / "bench.jsonl").write_text(json.dumps({"q": WORDS, "a": "fifteen"}) + "\n")
    run(context)
    assert report(context)["filter_reasons"] == ({"contaminated": 41} if action == "drop" else {})
    assert closed(context) == gates


def test_a_row_that_is_too_long_can_stop_the_run(tmp_path: Path) -> None:
    files = {"a.jsonl": pair("short") + pair("long " * 3000)}
    context = workspace(tmp_path, files, excess_length="error")
    with pytest.raises(DataError, match="longer than") as caught:
        run(context)
    assert caught.value.where == "data/raw/a.jsonl:2"


def talk(turns: int, words: int, **more: Any) -> str:
    """A conversation with a system turn and `turns` exchanges, different in each row."""
    said = " ".join(f"w{more.get('id', 0)}" for _ in range(words))
    exchanges = [
        {"role": role, "content": f"{said} {turn}"}
        for turn in range(turns)
        for role in ("user", "assistant")
    ]
    return json.dumps({"messages": [{"role": "system", "content": "Sys"}, *exchanges], **more})


LONG = "\n".join(
    [talk(2, 3, id="short"), talk(40, 20, id="long"), talk(2, 4000, id="huge")]
    + [talk(1, 5, id=f"fill {n}") for n in range(30)]
)


def accounted(found: dict[str, Any]) -> bool:
    parts = [found[name] for name in ("kept", "rejected", "duplicates", "filtered")]
    return bool(found["read"] + found["extra"] == sum(parts))


def test_long_rows_are_truncated_behind_an_answer(tmp_path: Path) -> None:
    context = workspace(tmp_path, {"a.jsonl": LONG}, excess_length="truncate")
    run(context)
    found = report(context)
    assert accounted(found) and found["extra"] == 0
    assert found["filter_reasons"] == {"too_long": 1}  # the first answer of "huge" is too long
    (row,) = [r for rows in written(context).values() for r in rows if r["id"] == "long"]
    turns = row["conversations"]
    assert turns[-1]["role"] == "assistant" and 3 <= len(turns) < 81
    assert turns == json.loads(talk(40, 20, id="long"))["messages"][: len(turns)]
    assert found["cuts"] == {
        "how": "truncate",
        "rows": 1,
        "pieces": 1,
        "turns_removed": 81 - len(turns),
    }
    assert "format.counts" not in closed(context)


def test_long_rows_become_several_in_one_split(tmp_path: Path) -> None:
    context = workspace(tmp_path / "one", {"a.jsonl": LONG}, excess_length="split", num_proc=1)
    run(context)
    found = report(context)
    assert accounted(found)
    assert found["filter_reasons"] == {"too_long": 2}  # both exchanges of "huge"
    parts = {
        name: [r for r in rows if r["id"].startswith("long#")]
        for name, rows in written(context).items()
    }
    assert sum(map(bool, parts.values())) == 1
    (pieces,) = filter(None, parts.values())
    assert found["extra"] == len(pieces) - 1 + 1
    assert [r["id"] for r in pieces] == [f"long#{n + 1}" for n in range(len(pieces))]
    assert {r["group"] for r in pieces} == {"long"}
    assert all([t["role"] for t in r["conversations"][:2]] == ["system", "user"] for r in pieces)
    assert sum(len(r["conversations"]) - 1 for r in pieces) == 80
    assert "format.counts" not in closed(context)
    again = workspace(tmp_path / "two", {"a.jsonl": LONG}, excess_length="split", num_proc=2)
    run(again)
    assert written(again) == written(context)


@pytest.mark.parametrize("how", ["truncate", "split"])
def test_copies_of_a_long_row_are_duplicates_of_its_pieces(tmp_path: Path, how: str) -> None:
    twice = "\n".join([LONG, talk(40, 20, id="long")])
    context = workspace(tmp_path, {"a.jsonl": twice}, excess_length=how)
    run(context)
    found = report(context)
    assert accounted(found)
    of_huge = 2 if how == "split" else 0
    assert found["duplicates"] == (found["cuts"]["pieces"] - of_huge) // 2 > 0
    ids = [row["id"] for rows in written(context).values() for row in rows]
    assert len(set(ids)) == len(ids)


def test_exact_tokens_counts_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lengths, "SAMPLE_ROWS", 10)
    files = {"a.jsonl": "".join(pair(f"question {n}") for n in range(40))}
    sampled, exact = (
        workspace(tmp_path / "a", files),
        workspace(tmp_path / "b", files, exact_tokens=True),
    )
    for context in (sampled, exact):
        run(context)
    counted = [
        sum(
            split["tokens"]["rows_counted"]
            for split in report(c)["splits"].values()
            if split["tokens"]
        )
        for c in (sampled, exact)
    ]
    assert counted == [10, 40]


REFUSAL = "I'm sorry, but I can't assist with that."


def test_rows_that_the_rules_score_low_are_filtered_by_source(tmp_path: Path) -> None:
    good = "".join(pair(f"question {n}") for n in range(30))
    files = {"a.jsonl": good + pair("one", REFUSAL), "b.jsonl": pair("two", REFUSAL)}
    sources = [{"path": "data/raw/a.jsonl"}, {"path": "data/raw/b.jsonl", "min_quality": 0}]
    context = workspace(tmp_path, files, min_quality=0.6, sources=sources)
    run(context)
    found = report(context)
    assert accounted(found) and found["filter_reasons"] == {"low_rule_score": 1}
    assert rejects(context) == [
        {
            "file": "data/raw/a.jsonl",
            "line": 31,
            "reason": "low_rule_score",
            "detail": "0.00 < 0.6: refusal",
        }
    ]
    assert found["quality"]["histogram"] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 30]
    assert found["quality"]["sources"]["data/raw/a.jsonl"]["filtered"] == 1


def test_of_two_copies_the_source_that_asks_for_less_keeps_one(tmp_path: Path) -> None:
    good = "".join(pair(f"question {n}") for n in range(30))
    files = {"a.jsonl": good + pair("one", REFUSAL), "b.jsonl": pair("one", REFUSAL)}
    sources = [{"path": "data/raw/a.jsonl", "min_quality": 0.6}, {"path": "data/raw/b.jsonl"}]
    context = workspace(tmp_path, files, sources=sources)
    run(context)
    assert report(context)["sources"]["data/raw/b.jsonl"]["kept"] == 1
    assert report(context)["duplicates"] == 0


def test_nothing_is_scored_unless_asked(mixed: Context) -> None:
    assert report(mixed)["quality"] is None


def test_scores_are_reported_without_a_bar(tmp_path: Path) -> None:
    context = workspace(tmp_path, {"a.jsonl": pair("one", REFUSAL) * 1}, quality_rules=True)
    run(context)
    assert report(context)["kept"] == 1
    assert report(context)["quality"]["worst"] == {"refusal": 1}


PRIVATE = [f"question {n}" for n in range(20)] + ["mail me@home.org", "Mail  you@home.org"]


@pytest.mark.parametrize(
    ("action", "kept", "duplicates"), [("report", 22, 0), ("mask", 21, 1), ("drop", 20, 0)]
)
def test_personal_data_is_listed_by_kind_and_never_shown(
    tmp_path: Path, action: str, kept: int, duplicates: int
) -> None:
    files = {"a.jsonl": "".join(map(pair, PRIVATE))}
    context = workspace(tmp_path, files, pii=action)
    run(context)
    found = report(context)
    assert accounted(found) and found["extra"] == 0
    assert (found["kept"], found["duplicates"]) == (kept, duplicates)
    assert found["pii"] == {
        "action": action,
        "rows": 2,
        "found": {"email": 2},
        "rows_with": {"email": 2},
    }
    listed = context.workspace.findings.read_text()
    assert [json.loads(line) for line in listed.splitlines()] == [
        {"file": "data/raw/a.jsonl", "line": line, "action": action, "kinds": {"email": 1}}
        for line in (21, 22)
    ]
    left = {check.id for check in stage.judge(context) if not check.passed}
    assert ("format.pii" in left) == (action == "report")
    texts = [listed, context.workspace.rejects.read_text(), json.dumps(found)]
    texts += [] if action == "report" else [json.dumps(written(context))]
    assert not any("home.org" in text for text in texts)
    if action == "mask":
        assert "mail [EMAIL]" in json.dumps(written(context))


def test_a_list_of_findings_is_gone_when_nobody_asks(tmp_path: Path) -> None:
    context = workspace(tmp_path, {"a.jsonl": "".join(map(pair, PRIVATE))})
    context.workspace.findings.write_text("old")
    run(context)
    assert not context.workspace.findings.exists() and report(context)["pii"] is None


def test_rows_of_the_same_meaning_name_their_twin(tmp_path: Path) -> None:
    questions = ["show memory", "stop cpu now", "Display RAM", "print registers"]
    settings = {"model": "models/embedding", "threshold": 0.95}
    text = "".join(pair(question, "42") for question in questions)
    context = workspace(tmp_path, {"a.jsonl": text}, semantic_dedup=settings)
    save_model(tmp_path / "models" / "embedding")
    run(context)
    (reject,) = rejects(context)
    assert (reject["line"], reject["reason"]) == (3, "semantic_duplicate")
    assert reject["detail"].startswith("means the same as data/raw/a.jsonl:1 (cosine 0.9")
    assert accounted(report(context))
    read = pipeline.STAGES[0].reads(context)
    assert "models/embedding/model.safetensors" in read


def test_predefined_rows_of_the_same_meaning_close_the_gate(tmp_path: Path) -> None:
    files = {
        "train.jsonl": pair("show memory", "42"),
        "test.jsonl": pair("display ram", "42"),
        "val.jsonl": pair("stop cpu", "42"),
    }
    settings = {"model": "models/embedding"}
    context = workspace(tmp_path, files, semantic_dedup=settings)
    save_model(tmp_path / "models" / "embedding")
    run(context)
    assert report(context)["leakage"]["semantic_duplicate"] == 1
    assert "format.leakage" in closed(context)


def test_a_mix_draws_shares_and_reports_them(tmp_path: Path) -> None:
    files = {
        "chat.jsonl": "".join(pair(f"chat {n}") for n in range(200)),
        "domain.jsonl": "".join(pair(f"domain {n}", quality_score=n % 2) for n in range(100)),
    }
    mixture = [
        {"path": "data/raw/chat.jsonl", "weight": 3},
        {"path": "data/raw/domain.jsonl", "weight": 1, "min_quality": 0.6},
    ]
    context = workspace(tmp_path, files, mix=mixture)
    run(context)
    found = report(context)
    assert {name: (m["asked"], m["got"], m["rows"]) for name, m in found["mix"].items()} == {
        "data/raw/chat.jsonl": (0.75, 0.75, 150),
        "data/raw/domain.jsonl": (0.25, 0.25, 50),
    }
    assert found["filter_reasons"] == {"not_drawn": 50}
    assert found["reject_reasons"] == {"low_quality": 50}


def test_the_page_shows_no_row_that_a_mix_left_out(tmp_path: Path) -> None:
    files = {
        "chat.jsonl": "".join(pair(f"chat {n}") for n in range(400)),
        "domain.jsonl": "".join(pair(f"domain {n}") for n in range(100)),
    }
    mixture = [{"path": f"data/raw/{name}", "weight": 1, "max_samples": 40} for name in files]
    context = workspace(tmp_path, files, mix=mixture)
    run(context)
    html = context.workspace.dataset_page.read_text()
    shown = re.findall(r"data/raw/\w+\.jsonl:\d+", html)
    assert len(shown) == lengths.EXAMPLES
    assert set(shown) <= {row["id"] for rows in written(context).values() for row in rows}
    bars = re.findall(r"<title>\d+ to \d+ tokens: (\d+) rows", html)
    assert sum(map(int, bars)) == 80


def test_hashes_taken_while_writing_are_those_of_the_files(tmp_path: Path) -> None:
    context = workspace(tmp_path, MIXED)
    run(context)
    hashes = [storage.sha256_file(path) for path in context.written]
    assert [record.sha256 for record in context.written.values()] == hashes
    assert [split["sha256"] for split in report(context)["splits"].values()] == hashes


def dialog(number: int) -> str:
    turns = [{"who": "customer", "said": f"ask {number}"}, {"who": "agent", "said": "x"}]
    return json.dumps({"log": turns, "thread": f"t{number}"}) + "\n"


NAMED = {
    "path": "data/raw/talks.jsonl",
    "columns": {"messages": "log", "role": "who", "content": "said", "group": "thread"},
    "roles": {"user": "customer", "assistant": "agent"},
}


def test_a_source_under_its_own_names_beside_one_under_the_usual_ones(tmp_path: Path) -> None:
    files = {
        "faq.jsonl": "".join(pair(f"question {n}") for n in range(20)),
        "talks.jsonl": "".join(map(dialog, range(20))) + '{"log": 3}\n',
    }
    context = workspace(tmp_path, files, sources=["data/raw/faq.jsonl", NAMED])
    decisions = run(context)
    assert decisions["format of data/raw/talks.jsonl"] == Decision(
        value="openai", reason="columns of dataset.sources[1]"
    )
    rows = [row for split in written(context).values() for row in split if "group" in row]
    assert len(rows) == 20
    assert [m["role"] for m in rows[0]["conversations"]] == ["user", "assistant"]
    assert [(r["line"], r["reason"]) for r in rejects(context)] == [(21, "no_messages")]


def test_a_column_that_no_row_has_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    source = {**NAMED, "columns": {**NAMED["columns"], "content": "sayd"}}  # type: ignore[dict-item]
    context = workspace(tmp_path, {"talks.jsonl": dialog(1)}, sources=[source])
    with pytest.raises(ConfigError) as caught:
        run(context)
    assert str(caught.value) == (
        "dataset.sources[0]: no row of data/raw/talks.jsonl has 'sayd' "
        "(columns.content; did you mean 'said'?)\n"
        "  -> the columns there: log, thread, who, said"
    )


def test_one_file_is_not_read_in_two_ways(tmp_path: Path) -> None:
    context = workspace(tmp_path, {"talks.jsonl": dialog(1)}, sources=["data/raw", NAMED])
    with pytest.raises(ConfigError, match="read in another way there"):
        run(context)


def test_an_unknown_format_of_one_source_is_named(tmp_path: Path) -> None:
    source = {"path": "data/raw", "format": "sharegtp"}
    context = workspace(tmp_path, {"a.jsonl": pair("x")}, sources=[source])
    with pytest.raises(ConfigError, match=r"dataset.sources\[0\].format: .* mean 'sharegpt'"):
        run(context)


def test_a_list_of_another_tool_is_read_by_the_stage(tmp_path: Path) -> None:
    listed = {
        "faq": {"file_name": "faq.jsonl", "columns": {"prompt": "q", "response": "a"}},
        "more": {"file_name": "missing.jsonl"},
    }
    rows = "".join(json.dumps({"q": f"ask {n}", "a": "x"}) + "\n" for n in range(20))
    files = {"faq.jsonl": rows, "dataset_info.json": json.dumps(listed)}
    source = {"path": "data/raw/dataset_info.json", "entries": ["faq"]}
    context = workspace(tmp_path, files, sources=[source])
    decisions = run(context)
    assert decisions["format of data/raw/faq.jsonl"].reason == (
        "columns of dataset.sources[0]: data/raw/faq.jsonl of data/raw/dataset_info.json"
    )
    assert report(context)["kept"] == 20


SCARCE = {
    "chat.jsonl": "".join(pair(f"chat {n}") for n in range(200)),
    "domain.jsonl": "".join(pair(f"domain {n}", id=n % 9) for n in range(20)),
}


def test_up_sampling_repeats_train_rows_only_and_only_when_asked(tmp_path: Path) -> None:
    mixture: list[dict[str, Any]] = [
        {"path": "data/raw/chat.jsonl", "weight": 1},
        {"path": "data/raw/domain.jsonl", "weight": 1, "upsample": True},
    ]
    context = workspace(tmp_path, SCARCE, mix=mixture, near_duplicates="together")
    run(context)
    found, rows = report(context), written(context)
    assert {name: (m["rows"], m["repeats"], m["got"]) for name, m in found["mix"].items()} == {
        "data/raw/chat.jsonl": (200, 0, 0.5),
        "data/raw/domain.jsonl": (20, 144, 0.5),
    }
    assert (found["kept"], found["duplicates"], found["repeated"]) == (220, 0, 144)
    assert {name: len(part) for name, part in rows.items()} == {
        name: split["rows"] for name, split in found["splits"].items()
    }
    assert len(rows["train"]) == 320
    asked = {name: {r["conversations"][0]["content"] for r in rows[name]} for name in SPLITS}
    assert not asked["train"] & (asked["val"] | asked["test"])
    times = Counter(r["conversations"][0]["content"] for r in rows["train"])
    assert set(times.values()) == {1, 10} and len({r["id"] for r in rows["train"]}) == 320
    assert closed(context) == set()


def test_without_upsample_the_scarcest_source_decides(tmp_path: Path) -> None:
    mixture = [{"path": f"data/raw/{name}", "weight": 1} for name in SCARCE]
    context = workspace(tmp_path, SCARCE, mix=mixture)
    run(context)
    assert [m["rows"] for m in report(context)["mix"].values()] == [20, 20]
    assert report(context)["repeated"] == 0


def test_rows_without_a_system_turn_get_the_configured_one(tmp_path: Path) -> None:
    own = {"messages": [{"role": "system", "content": "Own."}, *turns("b")]}
    files = {"a.jsonl": "".join(json.dumps(row) + "\n" for row in ({"messages": turns("a")}, own))}
    context = workspace(tmp_path, files, system_prompt="Be brief.", split_ratios=[1, 0, 0])
    run(context)
    first = [row["conversations"][0] for row in written(context)["train"]]
    assert first == [
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Own."},
    ]
    assert report(context)["roles"]["system"] == 2


def turns(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": "yes"}]


THOUGHT = {"reasoning_content": "Because.", **turns("a")[1]}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (None, {"role": "assistant", "content": "<think>\nBecause.\n</think>\n\nyes"}),
        ("{% for m in messages %}{{ m.reasoning_content }}{{ m.content }}{% endfor %}", THOUGHT),
    ],
)
def test_thoughts_go_where_the_template_renders_them(
    tmp_path: Path, template: str | None, expected: dict[str, str]
) -> None:
    rows = [[turns(name)[0], THOUGHT] for name in "abc"]
    files = {"a.jsonl": "".join(json.dumps({"messages": row}) + "\n" for row in rows)}
    name = "template.jinja" if template else None
    context = workspace(tmp_path, files, chat_template=name, split_ratios=[1, 0, 0])
    (tmp_path / "template.jinja").write_text(template or "")
    decision = run(context)["reasoning"]
    assert decision.value == ("field" if template else "inline")
    assert [row["conversations"][1] for row in written(context)["train"]] == [expected] * 3
