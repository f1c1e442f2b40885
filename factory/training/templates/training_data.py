"""Rows become token ids and labels: only the assistant's turns are trained, and that is proven.

Copied to scripts/training_data.py beside train.py, which uses `tokenize` and `LengthGrouped`.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

IGNORED = -100  # the label that PyTorch's cross entropy skips


class BadData(ValueError):
    """A template, or a row, whose trained tokens cannot be told for certain."""


class Encoder:
    """How a row becomes text and token ids, the same in training and in every measurement."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder.values()
        self.control = {str(token) for token in added if token.special} | {tokenizer.eos_token}
        self.in_text = re.compile("|".join(map(re.escape, sorted(self.control, key=len)[::-1])))

    def render(self, messages: list, tools: list | None = None, prompt: bool = False) -> str:
        """The conversation as the chat template writes it."""
        return self.tokenizer.apply_chat_template(
            messages, tools=tools, tokenize=False, add_generation_prompt=prompt
        )

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

    def _hide(self, value: Any) -> Any:
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


class Mask(Encoder):
    """Which tokens of a row are trained: the assistant's turns with their end-of-turn token.

    It is decided twice, by means that share no code: `by_markers` looks for the template's turn
    markers among token ids, `by_characters` looks for the messages in the rendered text and maps
    character offsets to tokens. Training uses the first after the second agreed on every row.
    """

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self.openings, self.closers, self.end_of_turn = self._turn_format()
        self.opening_ids = [self._ids_in_context(text) for text in self.openings]
        self.closer_ids = [
            tokenizer.convert_tokens_to_ids(self.in_text.findall(text)) for text in self.closers
        ]

    def _turn_format(self) -> tuple[list[str], list[str], str]:
        """(what opens an assistant turn, what closes it, the token that ends it) by the template.

        Characters that occur nowhere else stand for the messages, so that all between them is the
        template's own. A generation prompt and both real turns share the opening; the control
        tokens behind both turns are the end.
        """
        parts = re.split("[\ue0f0\ue0f1]", self.render([ASK, SAY, ASK, SAY]))
        if len(parts) != 5:
            raise BadData("the chat template does not write every turn: choose another one")
        asked = self.render([ASK]).rpartition("\ue0f0")[2]
        prompt = self.render([ASK], prompt=True).rpartition("\ue0f0")[2]
        shared = re.sub(r"<[^>]*$", "", shared_prefix(shared_prefix(prompt, parts[1]), parts[3]))
        opening = shared[len(asked) :] if shared.startswith(asked) and shared != asked else shared
        runs = [self._leading_control(part) for part in parts[2::2]]
        same = [one for one, other in zip(*runs, strict=False) if one == other]
        closers = {"".join(same)} if same else {run[0] for run in runs if run}
        if not opening.strip() or not closers:
            raise BadData("the chat template marks no start or no end of an assistant turn")
        for closer in closers:  # of the user's turn before it
            if opening.lstrip().startswith(closer):
                opening = opening.lstrip().removeprefix(closer).lstrip() or opening
        more_openings, more_closers = self._tool_turns(opening, closers)
        ends = {run[0] for run in runs if run}
        end = self.tokenizer.eos_token if self.tokenizer.eos_token in ends else min(ends)
        return [opening, *more_openings], sorted(closers | more_closers), end

    def _leading_control(self, text: str) -> list[str]:
        found: list[str] = []
        while match := self.in_text.match(text.lstrip() if not found else text):
            found.append(match[0])
            text = match.string[match.end() :]
        return found

    def _tool_turns(self, opening: str, closers: set[str]) -> tuple[list[str], set[str]]:
        """Other marks around a tool's result: no header (Mistral), another end (gpt-oss)."""
        call = {"name": "f", "arguments": {"x": "\ue0f1"}}
        calls = [{"type": "function", "id": "call00000", "function": call}]
        result = {"role": "tool", "name": "f", "tool_call_id": "call00000", "content": "\ue0f2"}
        try:  # a template may refuse tools; then no row of this training has any
            text = self.render([ASK, {**SAY, "content": "", "tool_calls": calls}, result, SAY])
        except Exception:
            return [], set()
        called, _, answered = text.partition("\ue0f1")[2].partition("\ue0f2")
        before_answer = answered.partition("\ue0f1")[0].strip()
        first = self.in_text.search(called)
        ends = {first[0]} if first and not any(end in called for end in closers) else set()
        # Without a header, the last control token of the result is what the model answers to.
        last = self.in_text.findall(before_answer)[-1:]
        return ([] if opening.strip() in before_answer else last), ends

    def _ids_in_context(self, opening: str) -> tuple[list[int], str]:
        """Token ids of an opening as they occur in text, and its trailing whitespace.

        Whitespace may melt into the answer's first token, so it has to be matched apart.
        """
        core = opening.rstrip()
        coded = self.tokenizer(
            "\ue0f0" + core, add_special_tokens=False, return_offsets_mapping=True
        )
        pairs = zip(coded["input_ids"], coded["offset_mapping"], strict=True)
        return [token for token, (_, end) in pairs if end > 1], opening[len(core) :]

    def by_markers(self, row: dict, ids: list[int]) -> list[int]:
        """Labels by a walk over token ids, from each opening to the closer behind it."""
        labels, position = [IGNORED] * len(ids), 0
        trained = [m.get("train", True) for m in row["conversations"] if m["role"] == "assistant"]
        for train in trained:
            position = self._after_opening(ids, position)
            end = self._after_closer(ids, position)
            if train:
                labels[position:end] = ids[position:end]
            position = end
        return labels

    def _after_opening(self, ids: list[int], position: int) -> int:
        while position < len(ids):
            for core, space in self.opening_ids:
                if ids[position : position + len(core)] == core:
                    return self._after_space(ids, position + len(core), space)
            position += 1
        return position

    def _after_space(self, ids: list[int], position: int, space: str) -> int:
        while space and position < len(ids):
            piece = self.tokenizer.decode(ids[position : position + 1])
            if not piece or not space.startswith(piece):
                break
            position, space = position + 1, space[len(piece) :]
        return position

    def _after_closer(self, ids: list[int], position: int) -> int:
        while position < len(ids):
            for closer in self.closer_ids:
                if ids[position : position + len(closer)] == closer:
                    return position + len(closer)
            position += 1
        return position

    def by_characters(self, row: dict, text: str, ids: list[int], offsets: list) -> list[int]:
        """Labels by where the messages lie in the rendered text."""
        spans = [span for span, train in self.turns(row, text) if train]
        return [
            token if any(begin < to and end > since for since, to in spans) else IGNORED
            for token, (begin, end) in zip(ids, offsets, strict=True)
        ]

    def turns(self, row: dict, text: str) -> list[tuple[tuple[int, int], bool]]:
        """((start, end), trained?) in `text` of every assistant turn; BadData names a fault.

        A turn starts behind the last opening before the message begins, and ends with the last
        closer before the next message begins.
        """
        messages, found = row["conversations"], []
        begins = [self._begin(row, text, index) for index in range(len(messages))] + [len(text)]
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before, begin, limit = (begins[index - 1] if index else 0, *begins[index : index + 2])
            start = last_end(text, self.openings, before, begin)
            if start is None:
                raise BadData(f"message {index}: no start of the assistant's turn is found")
            end = last_end(text, self.closers, start, limit)
            if end is None:
                raise BadData(f"message {index}: the turn has no end-of-turn token")
            for words in words_of(message):
                if words not in text[start:end]:
                    raise BadData(f"message {index}: the template does not write {words[:80]!r}")
            found.append(((start, end), message.get("train", True)))
        for name in (tool["function"]["name"] for tool in row.get("tools") or []):
            if name not in text:
                raise BadData(f"the template does not write the tool {name!r}")
        return found

    def _begin(self, row: dict, text: str, index: int) -> int:
        """Where message `index` begins: where the text changes if its words are others."""
        messages = list(row["conversations"])
        messages[index] = {**messages[index], "content": "\ue0f3"}
        if calls := messages[index].get("tool_calls"):  # some templates write them instead
            functions = [{**call["function"], "name": "\ue0f3"} for call in calls]
            named = [{**c, "function": f} for c, f in zip(calls, functions, strict=True)]
            messages[index]["tool_calls"] = named
        return len(shared_prefix(text, self.render(messages, row.get("tools"))))


def use_template(tokenizer: Any, template: str | None) -> None:
    """Give the tokenizer the template that takes the place of its own, if there is one.

    The token that ends the assistant's turns in it becomes the EOS: generation, the merged model
    and GGUF files stop there. BadData if there is no template, or one without an end of turn.
    """
    if template is not None:
        tokenizer.chat_template = template
        tokenizer.eos_token = Mask(tokenizer).end_of_turn
    elif tokenizer.chat_template is None:
        raise BadData("the model has no chat template: set dataset.chat_template")


ASK, SAY = {"role": "user", "content": "\ue0f0"}, {"role": "assistant", "content": "\ue0f1"}


def words_of(message: dict) -> list[str]:
    """What has to be found in an assistant's turn: its tools' names, its text without thoughts."""
    names = [call["function"]["name"] for call in message.get("tool_calls") or []]
    said = (message["content"] or "").rpartition("</think>")[2].strip()
    return [*names, said] if said else names


def shared_prefix(one: str, other: str) -> str:
    """What both strings begin with, by bisection: rows are long."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return one[:low]


def last_end(text: str, marks: list[str], begin: int, end: int) -> int | None:
    """Where the last of `marks` between `begin` and `end` ends."""
    found = [(text.rfind(mark, begin, end), len(mark)) for mark in marks]
    return max((at + length for at, length in found if at >= 0), default=None)


def tokenize(path: Path, mask: Mask, config: dict, counts: Counter) -> Any:
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
            except Exception as error:  # templates raise what they like
                raise BadData(f"{where}: {error}") from error
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
                f"row {row.get('id')!r}: the mask is not proven: {text[begin:end]!r} {verb} "
                f"trained on, after {text[max(0, begin - 40) : begin]!r}"
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

    def __init__(self, lengths: Iterable[int], batch: int, seed: int) -> None:
        self.lengths = list(lengths)  # a column of `datasets` is read from disk at each access
        self.longest = max(self.lengths)
        self.batch, self.seed, self.epoch = batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = Random(f"{self.seed}-{self.epoch}")
        order = random.sample(range(len(self.lengths)), len(self.lengths))
        window, batches = self.batch * 50, []
        for begin in range(0, len(order), window):
            near = sorted(order[begin : begin + window], key=lambda row: -self.lengths[row])
            batches += [near[i : i + self.batch] for i in range(0, len(near), self.batch)]
        last = [batches.pop()] if len(batches[-1]) < self.batch else []  # must stay the last one
        random.shuffle(batches)
        batches.sort(key=lambda rows: self.lengths[rows[0]] < self.longest)
        return iter([row for rows in [*batches, *last] for row in rows])
