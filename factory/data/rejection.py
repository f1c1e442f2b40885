"""Why a row cannot be used: one exception, one table of reason codes."""

from __future__ import annotations

REASONS = {
    "line_too_long": "the line is longer than dataset.max_line_bytes",
    "invalid_utf8": "the line is not UTF-8",
    "invalid_json": "the line is not JSON (RFC 8259: no NaN, no trailing comma, no comment)",
    "lone_surrogate": "a \\ud800-\\udfff escape without its partner is no character",
    "duplicate_key": "an object names the same key twice: which one counts is a guess",
    "too_deep": "nested deeper than any conversation",
    "not_an_object": "a row is a JSON object",
    "wrong_format": "the row lacks the fields of its file's format",
    "no_messages": "the conversation is empty or not a list",
    "bad_message": "a turn is not an object with a role and a content",
    "unknown_role": "the role is none of system, user, assistant, tool or their known aliases",
    "bad_content": "the content is not text",
    "unsupported_part": "a content part is neither text, reasoning nor a tool call",
    "empty_turn": "a turn has neither text nor tool calls",
    "no_user_turn": "nobody asks",
    "no_assistant_turn": "there is nothing to learn",
    "nothing_trained": "no assistant turn is left in the loss by its train flag",
    "bad_turn_order": "system comes first, tool results follow a call",
    "bad_tools": "tools is not a list of function schemas",
    "bad_tool_call": "a tool call lacks its name or its arguments are not a JSON object",
    "special_token": "the text holds a special token of the model",
    "bad_field": "id, group, split, tags, quality_score or a train flag has the wrong type",
    "low_quality": "the row's quality_score is below dataset.min_quality",
    "other_domain": "the row's domain is none of dataset.domains",
    "unknown_split": "split is none of train, validation, test or their aliases",
}


class Rejected(Exception):
    """A row that cannot be used. `code` is a key of REASONS, `detail` says what was found."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


def excerpt(value: object, limit: int = 80) -> str:
    """`value` as it appears in a reject's detail: short, on one line."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
