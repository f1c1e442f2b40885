"""Files are cut into pieces and blocks without losing, doubling or renumbering a row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory.data import containers, formats
from factory.data.containers import json_array, jsonl
from factory.data.rejection import Rejected
from factory.errors import DataError

CAP = 1 << 20


def rows(path: Path, cap: int = CAP) -> list[tuple[int, object]]:
    """Line and value (or reason code) of every row of a file."""
    return [
        (block.line(number), value.code if isinstance(value, Rejected) else value)
        for piece in containers.pieces(path, cap)
        for block in piece.blocks()
        for number, _, value in block.rows()
    ]


def write(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_lines_are_numbered_from_one_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", b'{"n":1}\n\n  \n{"n":2}\n')
    assert rows(path) == [(1, {"n": 1}), (4, {"n": 2})]


def test_last_line_needs_no_end(tmp_path: Path) -> None:
    assert rows(write(tmp_path, "a.jsonl", b'{"n":1}\n{"n":2}')) == [(1, {"n": 1}), (2, {"n": 2})]


def test_carriage_returns_are_space(tmp_path: Path) -> None:
    assert rows(write(tmp_path, "a.jsonl", b'{"n":1}\r\n{"n":2}\r\n'))[1] == (2, {"n": 2})


def test_byte_order_mark_at_the_start_is_dropped(tmp_path: Path) -> None:
    assert rows(write(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"n":1}\n')) == [(1, {"n": 1})]


def test_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert rows(write(tmp_path, "a.jsonl", b"")) == []


def test_line_above_the_cap_is_a_reject_and_the_next_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", b'{"n":1}\n{"a":"' + b"x" * 3000 + b'"}\n{"n":3}\n')
    assert rows(path, cap=1024) == [(1, {"n": 1}), (2, "line_too_long"), (3, {"n": 3})]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 60), max_size=40),
    st.integers(1, 4),
    st.integers(8, 64),
    st.booleans(),
)
def test_any_cut_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    piece: int,
    block: int,
    ended: bool,
) -> None:
    expected = [(n, {"n": "x" * size}) for n, size in enumerate(sizes, start=1)]
    data = b"\n".join(json.dumps(value).encode() for _, value in expected)
    path = write(tmp_path_factory.mktemp("cut"), "a.jsonl", data + (b"\n" if ended else b""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "BLOCKS_PER_PIECE", piece)
        patch.setattr(jsonl, "BLOCK_BYTES", block)
        assert rows(path, cap=4096) == expected


@pytest.mark.parametrize("over_cap", [False, True])
def test_line_longer_than_a_piece(tmp_path: Path, over_cap: bool) -> None:
    long = b'{"a":"' + b"x" * 500 + b'"}'
    path = write(tmp_path, "a.jsonl", b'{"n":1}\n' + long + b'\n{"n":3}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "BLOCKS_PER_PIECE", 2)
        patch.setattr(jsonl, "BLOCK_BYTES", 32)
        found = rows(path, cap=100 if over_cap else 1000)
    middle = "line_too_long" if over_cap else {"a": "x" * 500}
    assert found == [(1, {"n": 1}), (2, middle), (3, {"n": 3})]


def test_array_elements_carry_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", b'[\n {"n": 1},\n\n {"n":\n 2},{"n": 3}\n]\n')
    assert rows(path) == [(2, {"n": 1}), (4, {"n": 2}), (5, {"n": 3})]


def test_malformed_element_is_one_reject(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", b'[{"n": 1}, {"n": nope, "m": [1]}, 5, {"n": 3}]')
    assert [value for _, value in rows(path)] == [
        {"n": 1},
        "invalid_json",
        "not_an_object",
        {"n": 3},
    ]


def test_json_lines_under_the_name_of_an_array(tmp_path: Path) -> None:
    assert len(rows(write(tmp_path, "a.json", b'{"n":1}\n{"n":2}\n'))) == 2


@pytest.mark.parametrize("data", [b'[{"n": 1}', b'[{"n": "', b"["])
def test_array_without_end_is_an_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DataError, match="does not end"):
        rows(write(tmp_path, "a.json", data))


def test_text_behind_the_array_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="after the end"):
        rows(write(tmp_path, "a.json", b'[{"n": 1}] {"n": 2}'))


STRINGS = st.text() | st.sampled_from(['"', "\\", "[", "]}", ",", '\\"', "{", "é"])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.dictionaries(STRINGS, STRINGS, max_size=3), max_size=12), st.integers(1, 40))
def test_any_array_is_read_in_any_steps(
    tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, str]], step: int
) -> None:
    text = json.dumps(values, indent=1).encode()
    path = write(tmp_path_factory.mktemp("array"), "a.json", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "READ_BYTES", step + 8)
        assert [value for _, value in rows(path)] == values


LINES = b'{"n":1}\nnope\n{"n":3}\n'


def compressed(kind: str, data: bytes) -> bytes:
    if kind == "gz":
        return gzip.compress(data)
    data_: bytes = pytest.importorskip("zstandard").compress(data)
    return data_


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_compressed_files_hold_the_same_rows(tmp_path: Path, kind: str) -> None:
    plain = rows(write(tmp_path, "a.jsonl", LINES))
    assert rows(write(tmp_path, f"a.jsonl.{kind}", compressed(kind, LINES))) == plain
    array = write(tmp_path, f"a.json.{kind}", compressed(kind, b'[{"n":1}]'))
    assert rows(array) == [(1, {"n": 1})]


@pytest.mark.parametrize("kind", ["gz", "zst"])
@pytest.mark.parametrize("over_cap", [False, True])
def test_long_line_in_a_compressed_file(tmp_path: Path, kind: str, over_cap: bool) -> None:
    long = b'{"a":"' + b"x" * 500 + b'"}'
    data = b'{"n":1}\n' + long + b'\n{"n":3}\n'
    path = write(tmp_path, f"a.jsonl.{kind}", compressed(kind, data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "BLOCK_BYTES", 64)
        found = rows(path, cap=100 if over_cap else 1000)
    middle = "line_too_long" if over_cap else {"a": "x" * 500}
    assert found == [(1, {"n": 1}), (2, middle), (3, {"n": 3})]


def test_damaged_archive_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl.gz", gzip.compress(LINES * 100)[:-20])
    with pytest.raises(DataError, match="damaged"):
        rows(path)


def test_separated_values(tmp_path: Path) -> None:
    data = b'question,answer,note\n"a, b","1\n2",\nshort\nc,d,e\n'
    assert rows(write(tmp_path, "a.csv", data)) == [
        (1, {"question": "a, b", "answer": "1\n2"}),
        (2, "wrong_format"),
        (3, {"question": "c", "answer": "d", "note": "e"}),
    ]
    assert rows(write(tmp_path, "a.tsv", b"q\ta\n1\t2\n")) == [(1, {"q": "1", "a": "2"})]


def test_text_lines(tmp_path: Path) -> None:
    data = b"one\r\n" + b"x" * 2000 + b"\n\xff\nfour"
    assert rows(write(tmp_path, "a.txt", data), cap=1024) == [
        (1, {"text": "one"}),
        (2, "line_too_long"),
        (3, "invalid_utf8"),
        (4, {"text": "four"}),
    ]


CHATML = """\
<|im_start|>user
Hi

there<|im_end|>
<|im_start|>assistant
Hello<|im_end|>

<|im_start|>user
Again
<|im_end|>
<|im_start|>assistant
Yes<|im_end|>
<|im_start|>system
Brief.<|im_end|>
<|im_start|>user
Third<|im_end|>
<|im_start|>assistant
Ok<|im_end|>
"""


def test_text_of_conversations(tmp_path: Path) -> None:
    """A blank line inside a turn ends nothing."""
    lines = CHATML.splitlines(keepends=True)
    found = [(1, lines[:7]), (8, lines[7:12]), (13, lines[12:])]
    expected = [(n, {"text": "".join(part).rstrip("\n")}) for n, part in found]
    assert rows(write(tmp_path, "a.txt", b"\xef\xbb\xbf" + CHATML.encode())) == expected
    packed = write(tmp_path, "a.txt.gz", gzip.compress(b"\n\n" + CHATML.encode()))
    assert [number for number, _ in rows(packed)] == [3, 10, 15]
    assert [formats.READERS["chatml"](row)[0][0]["content"] for _, row in expected] == [
        "Hi\n\nthere",
        "Again\n",
        "Brief.",
    ]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_columnar_files_keep_nested_values(tmp_path: Path, kind: str) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    values = [{"messages": [{"role": "user", "content": "Hi"}], "id": n} for n in range(600)]
    values[0]["extra"] = "x"
    table = arrow.Table.from_pylist(values)
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        parquet.write_table(table, path)
    else:
        with arrow.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
    assert rows(path) == list(enumerate(values, start=1))


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_damaged_columnar_file_is_an_error(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match="damaged"):
        rows(write(tmp_path, f"a.{kind}", b"nothing of the kind"))
