"""Personal data and secrets: what has their form is found, what looks like it is not."""

from __future__ import annotations

import builtins
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.data import pii
from factory.errors import ConfigError

# Put together here, so that no scanner takes this file for a leak.
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
KEY = "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIabc+/=\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNH"
IBM = 'ibm_cloud_iam_key = "' + "abcd1234" * 5 + 'ABCD"'

FOUND = [
    (f"key {AWS} there", "secret", AWS),
    (f"token {GITHUB}.", "secret", GITHUB),
    (f"see\n{KEY}\nthere", "secret", KEY),
    (f"Bearer {JWT} x", "secret", JWT),
    ("https://me:pa55w0rd@host.example.com/x", "secret", "://me:pa55w0rd@host.example.com"),
    ("Mail bob.o'neil@ex-ample.co.uk, please", "email", "bob.o'neil@ex-ample.co.uk"),
    ("call +49 30 901820 now", "phone", "+49 30 901820"),
    ("card 4111 1111 1111 1111, thanks", "credit_card", "4111 1111 1111 1111"),
    ("to DE89 3704 0044 0532 0130 00 IN EURO", "iban", "DE89 3704 0044 0532 0130 00"),
    ("SSN 536-90-4399", "us_ssn", "536-90-4399"),
    ("ping 8.8.8.8 again", "ip_address", "8.8.8.8"),
]


@pytest.mark.parametrize(("text", "kind", "what"), FOUND)
def test_it_is_found_from_its_first_to_its_last_character(text: str, kind: str, what: str) -> None:
    assert [(s.kind, text[s.start : s.end]) for s in pii.find(text, None)] == [(kind, what)]


def test_slow_detectors_are_asked_where_their_words_are() -> None:
    assert [span.kind for span in pii.find(IBM, None)] == ["secret"]


@pytest.mark.parametrize(
    "text",
    [
        "read $7E0010 at 0x12345678",
        "28980-18480=<<28980-18480=10500>>10500",
        "a@b, x @ y.com and user@localhost",
        "10.0.0.1 192.168.1.1 127.0.0.1",
        "card 4111 1111 1111 1112",
        "2024-01-01 12:00:00.123456",
        "078-05-112 000-12-3456",
        "The QUICK brown fox, 100,000,000,000,000 times",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert pii.find(text, None) == []


def test_national_numbers_are_found_with_their_region() -> None:
    assert pii.find("call (212) 555-2368", None) == []
    assert [span.kind for span in pii.find("call (212) 555-2368", "US")] == ["phone"]


def test_every_text_of_a_row_is_masked_and_the_rest_stays() -> None:
    call = {"name": "send", "arguments": {"to": ["a@b.com"], "card": 4111111111111111, "n": 5}}
    row = {
        "conversations": [
            {"role": "user", "content": f"Use {AWS} for a@b.com"},
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": "a@b.com it is",
                "tool_calls": [{"type": "function", "function": call}],
            },
        ],
        "tools": [{"type": "function", "function": {"name": "send", "description": "of a@b.com"}}],
        "id": "1",
        "source": "a",
    }
    (seen,) = pii.look([orjson.dumps(row)], None, mask=True)
    assert seen.kinds == {"credit_card": 1, "email": 4, "secret": 1}
    changed: Any = orjson.loads(seen.masked or b"")
    user, assistant = changed["conversations"]
    assert user["content"] == "Use [SECRET] for [EMAIL]"
    assert assistant["reasoning_content"] == "[EMAIL] it is"
    assert assistant["tool_calls"][0]["function"]["arguments"] == {
        "to": ["[EMAIL]"],
        "card": "[CREDIT_CARD]",
        "n": 5,
    }
    assert changed["tools"][0]["function"]["description"] == "of [EMAIL]"
    assert (changed["id"], changed["source"]) == ("1", "a")


@given(st.lists(st.sampled_from([text for text, _, _ in FOUND] + ["and so on", "4", "@"])))
def test_masking_leaves_nothing_to_find(texts: list[str]) -> None:
    text = " ; ".join(texts)
    plain = pii.masked(text, pii.find(text, "US"))
    assert pii.find(plain, "US") == []


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "detect_secrets":
            raise ImportError(name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match="detect_secrets") as caught:
        pii.require()
    assert "factory[pii]" in str(caught.value.hint)


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(ConfigError, match="'Germany'"):
        pii.require_region("Germany")
