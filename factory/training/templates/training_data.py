"""Rows become token ids and labels: only the assistant's turns are trained, and that is proven.

Copied to scripts/training_data.py beside train.py, which uses `tokenize` and `LengthGrouped`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from random import Random

IGNORED = -100  # the label that PyTorch's cross entropy skips


class BadData(ValueError):
    """A template, or a row, whose trained tokens cannot be told for certain."""


class Mask:
    """Which tokens of a row are trained: the assistant's turns with their end-of-turn token.

    It is decided twice, by means that share no code path: `by_markers` looks for the template's
    turn markers among token ids (Unsloth's walker), `by_characters` looks for the messages in the
    rendered text and maps character offsets to tokens. `main` trains on the first, after the
    second has given the same answer for every row.
    """

    def __init__(self, tokenizer) -> None:
        from unsloth_zoo.dataset_utils import train_on_responses_only

        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.values()
        self.control = {str(token) for token in added if token.special} | {tokenizer.eos_token}
        self.in_text = re.compile("|".join(map(re.escape, sorted(self.control, key=len)[::-1])))
        self.openings, self.closers, asking = self._turn_format()
        self.walkers = [
            train_on_responses_only(
                None, asking, opening, tokenizer=tokenizer, return_function=True
            )
            for opening in self.openings
        ]
        encode = {"add_special_tokens": False}
        self.closer_ids = [tokenizer(text, **encode)["input_ids"] for text in self.closers]

    def render(self, messages: list, tools: list | None = None, prompt: bool = False) -> str:
        """The conversation as the chat template writes it."""
        return self.tokenizer.apply_chat_template(
            messages, tools=tools, tokenize=False, add_generation_prompt=prompt
        )

    def _turn_format(self) -> tuple[list[str], list[str], str]:
        """(what opens an assistant turn, what closes it, what opens a user turn).

        Read off the template: characters that occur nowhere else stand for the messages, so that
        all between them is the template's own. A generation prompt and both real turns share the
        opening; both real turns share the end.
        """
        ask, say = {"role": "user", "content": "\ue0f0"}, {"role": "assistant", "content": "\ue0f1"}
        parts = re.split("[\ue0f0\ue0f1]", self.render([ask, say, ask, say]))
        if len(parts) != 5:
            raise BadData("the chat template does not write every turn: choose another one")
        asked = self.render([ask]).rpartition("\ue0f0")[2]
        prompt = self.render([ask], prompt=True).rpartition("\ue0f0")[2]
        shared = re.sub(r"<[^>]*$", "", os.path.commonprefix([prompt, parts[1], parts[3]]))
        opening = shared[len(asked) :] if shared.startswith(asked) and shared != asked else shared
        ends = self._leading_control(parts[2]), self._leading_control(parts[4])
        closers = {os.path.commonprefix(ends)} - {""} or {*ends} - {""}
        if not opening.strip() or not closers:
            raise BadData("the chat template marks no start or end of an assistant turn")
        asking = parts[2].lstrip().removeprefix(ends[0]).lstrip() or parts[2]
        return [opening, *self._opening_after_tool(opening)], sorted(closers), asking

    def _leading_control(self, text: str) -> str:
        found = re.match(rf"\s*((?:{self.in_text.pattern})+)", text)
        return found[1] if found else ""

    def _opening_after_tool(self, opening: str) -> list[str]:
        """Templates without a header (Mistral) open differently after a tool's result."""
        call = {"type": "function", "function": {"name": "f", "arguments": {}}, "id": "call00000"}
        result = {"role": "tool", "name": "f", "content": "\ue0f0", "tool_call_id": "call00000"}
        talk = [{"role": "user", "content": "u"}, {"role": "assistant", "content": ""}, result]
        talk[1]["tool_calls"] = [call]
        with contextlib.suppress(Exception):  # a template may refuse tools; then no row has any
            text = self.render([*talk, {"role": "assistant", "content": "\ue0f1"}])
            between = text.partition("\ue0f0")[2].partition("\ue0f1")[0].strip()
            return [between] if between and opening.strip() not in between else []
        return []

    def encode(self, row: dict) -> tuple[str, list[int], list[tuple[int, int]]]:
        """(rendered text, token ids, character offsets) of a row.

        Control tokens that users wrote into their messages stay text: they are found by rendering
        once more with placeholders of the same length, and tokenized without their magic.
        """
        messages, tools = row["conversations"], row.get("tools")
        text = self.render(messages, tools)
        coded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = coded["input_ids"], [tuple(pair) for pair in coded["offset_mapping"]]
        hidden = self._hide([messages, tools])
        if hidden == [messages, tools]:
            return text, ids, offsets
        shown = self.render(*hidden)
        if len(shown) != len(text):
            raise BadData("the template changes control tokens in its messages")
        pairs = [self._split(text, pair, shown) for pair in zip(ids, offsets, strict=True)]
        flat = [pair for piece in pairs for pair in piece]
        return text, [pair[0] for pair in flat], [pair[1] for pair in flat]

    def _hide(self, value):
        """`value` with every control token in every string replaced by placeholders."""
        if isinstance(value, str):
            return self.in_text.sub(lambda found: "\ue0f2" * len(found[0]), value)
        if isinstance(value, dict):
            return {key: self._hide(item) for key, item in value.items()}
        return [self._hide(item) for item in value] if isinstance(value, list) else value

    def _split(self, text: str, pair: tuple, shown: str) -> list[tuple[int, tuple[int, int]]]:
        begin, end = pair[1]
        if text[begin:end] not in self.control or shown[begin] != "\ue0f2":
            return [pair]
        plain_ids = self.tokenizer(
            text[begin:end], add_special_tokens=False, split_special_tokens=True
        )["input_ids"]
        return [(token, (begin, end)) for token in plain_ids]

    def by_markers(self, row: dict, ids: list[int]) -> list[int]:
        """Labels by Unsloth's walk over token ids, each turn cut after its end-of-turn token."""
        walked = [walker({"input_ids": [ids]})["labels"][0] for walker in self.walkers]
        labels = [max(column) for column in zip(*walked, strict=True)]
        wanted = [m.get("train", True) for m in row["conversations"] if m["role"] == "assistant"]
        turn, inside = -1, False
        for position, label in enumerate(labels):
            if label == IGNORED:
                inside = False
                continue
            if not inside:
                turn, inside, closed = turn + 1, True, False
            if closed or (turn < len(wanted) and not wanted[turn]):
                labels[position] = IGNORED
            closed = closed or any(
                ids[position - len(end) + 1 : position + 1] == end for end in self.closer_ids
            )
        return labels

    def by_characters(self, row: dict, text: str, ids: list[int], offsets: list) -> list[int]:
        """Labels by where the messages lie in the rendered text."""
        spans = [span for span, train in self.turns(row, text) if train]
        return [
            token if any(begin < to and end > since for since, to in spans) else IGNORED
            for token, (begin, end) in zip(ids, offsets, strict=True)
        ]

    def turns(self, row: dict, text: str) -> list[tuple[tuple[int, int], bool]]:
        """((start, end), trained?) in `text` of every assistant turn; BadData names a fault.

        A message begins where the text changes if its content is replaced by a character that
        occurs nowhere. Its turn starts behind the last opening before that, and ends with the
        last closer before the next message.
        """
        messages, found = row["conversations"], []
        begins = [self._begin(row, text, index) for index in range(len(messages))] + [len(text)]
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before, begin, limit = (begins[index - 1] if index else 0, *begins[index : index + 2])
            starts = [
                text.rfind(opening, before, begin) + len(opening) for opening in self.openings
            ]
            start = max(s for s in starts)
            ends = [text.rfind(closer, start, limit) + len(closer) for closer in self.closers]
            if start < before + 1 or start > begin:
                raise BadData(f"message {index}: no start of the assistant's turn is found")
            if max(ends) <= start:
                raise BadData(f"message {index}: the turn has no end-of-turn token")
            found.append(((start, max(ends)), message.get("train", True)))
        return found

    def _begin(self, row: dict, text: str, index: int) -> int:
        messages = list(row["conversations"])
        messages[index] = {**messages[index], "content": "\ue0f3"}
        other = self.render(messages, row.get("tools"))
        low, high = 0, min(len(text), len(other))
        while low < high:  # the length of the common prefix, by bisection
            middle = (low + high + 1) // 2
            low, high = (middle, high) if text[:middle] == other[:middle] else (low, middle - 1)
        return low


def tokenize(path: Path, mask: Mask, config: dict, counts: Counter):
    """Rows as token ids and labels, in a memory-mapped Arrow file, every label proven.

    Raises BadData naming the first row whose two derivations of the mask differ.
    """
    from datasets import Dataset, Features, Sequence, Value
    from datasets.arrow_writer import ArrowWriter

    rank = os.environ.get("RANK", "0")
    target = Path(config["trainer"]["output_dir"], "data", f"{path.stem}-{rank}.arrow")
    target.parent.mkdir(parents=True, exist_ok=True)
    number = Sequence(Value("int32"))
    features = Features({"input_ids": number, "labels": number, "length": Value("int32")})
    with ArrowWriter(path=str(target), features=features) as writer, path.open("rb") as file:
        for line_number, line in enumerate(file, start=1):
            where = f"{path}:{line_number}"
            try:
                row = json.loads(line)
                ids, labels = prove(mask, row)
            except ValueError as error:
                raise BadData(f"{where}: {error}") from None
            ids, labels, reason = fit(
                ids, labels, config["data"], config["model"]["max_seq_length"]
            )
            counts[reason or "rows"] += 1
            if reason == "over_length" and config["data"]["over_length"] == "raise":
                raise BadData(f"{where}: {len(ids)} tokens, more than model.max_seq_length")
            if reason in (None, "truncated"):
                counts["tokens"] += len(ids)
                counts["trained_tokens"] += sum(label != IGNORED for label in labels)
                writer.write({"input_ids": ids, "labels": labels, "length": len(ids)})
        writer.finalize()
    return Dataset.from_file(str(target))


def prove(mask: Mask, row: dict) -> tuple[list[int], list[int]]:
    """(token ids, labels) of a row; BadData if markers and characters disagree."""
    text, ids, offsets = mask.encode(row)
    labels, expected = mask.by_markers(row, ids), mask.by_characters(row, text, ids, offsets)
    for position, (label, other) in enumerate(zip(labels, expected, strict=True)):
        if label != other:
            begin, end = offsets[position]
            verb = "would be" if other == IGNORED else "would not be"
            raise BadData(
                f"row {row.get('id')!r}: the mask is not proven: {text[begin:end]!r} {verb} trained "
                f"on, after {text[max(0, begin - 40) : begin]!r}"
            )
    bos = mask.tokenizer.bos_token_id
    if bos is not None and ids[:2] == [bos, bos]:
        raise BadData(f"row {row.get('id')!r} begins with two BOS tokens")
    return ids, labels


def fit(ids: list, labels: list, data: dict, limit: int) -> tuple[list, list, str | None]:
    """The row, cut if that is allowed, and the reason why it is cut or left out."""
    reason = None
    if len(ids) > limit:
        if data["over_length"] != "truncate":
            return ids, labels, "over_length"
        ids, labels, reason = ids[:limit], labels[:limit], "truncated"
    return (
        (ids, labels, reason) if any(x != IGNORED for x in labels) else (ids, labels, "no_answer")
    )


class LengthGrouped:
    """Order of the rows: batches of similar length, in random order, the longest one first.

    A function of (seed, epoch) alone: a resumed run, and one whose micro-batch was halved, see
    the same rows in the same order.
    """

    def __init__(self, lengths: list[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = lengths, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self):
        random = Random(f"{self.seed}-{self.epoch}")
        order = random.sample(range(len(self.lengths)), len(self.lengths))
        window, batches = self.batch * 50, []
        for begin in range(0, len(order), window):
            near = sorted(order[begin : begin + window], key=lambda row: -self.lengths[row])
            batches += [near[i : i + self.batch] for i in range(0, len(near), self.batch)]
        last = [batches.pop()] if len(batches[-1]) < self.batch else []  # must stay the last one
        random.shuffle(batches)
        batches.sort(key=lambda rows: self.lengths[rows[0]] < max(self.lengths))
        return iter([row for rows in [*batches, *last] for row in rows])
