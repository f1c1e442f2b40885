"""Personal data and secrets in the texts of rows: found by libraries, named by kind, never shown.

    secret       keys and tokens of known form: the regular expressions of detect-secrets
    email        the pattern of the HTML standard for <input type=email>
    phone        phonenumbers (Google's libphonenumber); with a region its national numbers, too
    credit_card  13 to 19 digits of a card's form that pass the Luhn test (python-stdnum)
    iban         as python-stdnum validates it
    us_ssn       as python-stdnum validates it
    ip_address   public IPv4 addresses (detect-secrets)

Names of people and street addresses are not found: that takes a language model. Neither are
passwords and keys of no known form: nothing tells them from other words.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from factory.errors import ConfigError

KINDS = ("secret", "email", "phone", "credit_card", "iban", "us_ssn", "ip_address")
# Of detect-secrets, "Public IP" is no secret and counts as an address.
_IP, _JWT = "IPPublicDetector", "JwtTokenDetector"
_EMAIL = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~-])[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
    r"@(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]{2,63}\b"
)
_CARD = re.compile(r"(?<![\d.,-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\d-]|\.\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
_SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])")
_KEY_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----")
_JWT_REST = re.compile(r"[A-Za-z0-9_.+/=-]*")
# Detectors of `NAME = value`, whose patterns are slow: each needs one of these words.
_ASSIGNMENTS = frozenset(
    ("CloudantDetector", "IbmCloudIamDetector", "IbmCosHmacDetector", "SoftlayerDetector")
)
_ASSIGNMENT_WORDS = ("key", "pw", "pass", "token", "softlayer", "cloudant")
_FEWEST_CARD_DIGITS = 13


class Span(NamedTuple):
    """Where something was found in a text, and what."""

    start: int
    end: int
    kind: str


class Seen(NamedTuple):
    """What was found in a row, by kind, and its line with that masked if that was asked for."""

    position: int
    kinds: dict[str, int]
    masked: bytes | None


def require() -> None:
    """Raise ConfigError when a library is not installed."""
    try:
        import detect_secrets  # noqa: F401
        import phonenumbers  # noqa: F401
        import stdnum  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"looking for personal data needs the package {error.name}",
            where="dataset.pii",
            hint="pip install 'factory[pii]', or set it to \"off\"",
        ) from None


def require_region(region: str | None) -> None:
    """Raise ConfigError when no phone numbers are known of a region."""
    import phonenumbers

    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        raise ConfigError(
            f"{region!r} is no region that phone numbers are known of",
            where="dataset.pii_region",
            hint="a country's two capital letters, such as US",
        )


def look(lines: Sequence[bytes], region: str | None, mask: bool) -> list[Seen]:
    """Look through canonical lines; return what was found in those where anything was."""
    found: list[Seen] = []
    for position, line in enumerate(lines):
        row = orjson.loads(line)
        kinds: Counter[str] = Counter()

        def plain(text: str, kinds: Counter[str] = kinds) -> str:
            spans = find(text, region)
            kinds.update(span.kind for span in spans)
            return masked(text, spans)

        for message in row["conversations"]:
            _map_message(message, plain)
        for tool in row.get("tools", ()):
            _map_descriptions(tool, plain)
        if kinds:
            changed = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) if mask else None
            found.append(Seen(position, dict(sorted(kinds.items())), changed))
    return found


def _map_message(message: dict[str, Any], plain: Callable[[str], str]) -> None:
    """Put what `plain` makes of them in the place of the texts of a turn."""
    for field in ("content", "reasoning_content"):
        if field in message:
            message[field] = plain(message[field])
    for call in message.get("tool_calls", ()):
        function = call["function"]
        function["arguments"] = _map_values(function["arguments"], plain)


def _map_values(value: Any, plain: Callable[[str], str]) -> Any:
    """The same for every text in a value; a long number may be that of a card."""
    if type(value) is str:
        return plain(value)
    if type(value) is int and len(str(value)) >= _FEWEST_CARD_DIGITS:
        changed = plain(str(value))
        return value if changed == str(value) else changed
    if type(value) is list:
        return [_map_values(inner, plain) for inner in value]
    if type(value) is dict:
        return {key: _map_values(inner, plain) for key, inner in value.items()}
    return value


def _map_descriptions(value: Any, plain: Callable[[str], str]) -> None:
    """The same for the descriptions of a tool and its parameters."""
    children = value.values() if type(value) is dict else value if type(value) is list else ()
    for child in children:
        _map_descriptions(child, plain)
    if type(value) is dict and type(value.get("description")) is str:
        value["description"] = plain(value["description"])


def masked(text: str, spans: Sequence[Span]) -> str:
    """The text with the kind of what was found in its place, such as [EMAIL]."""
    parts = []
    done = 0
    for span in spans:
        parts += [text[done : span.start], f"[{span.kind.upper()}]"]
        done = span.end
    return "".join((*parts, text[done:]))


def find(text: str, region: str | None) -> list[Span]:
    """What there is in a text, in order; of two that overlap the first, and there the longer."""
    found: list[Span] = []
    for finder in (_secrets, _emails, _numbers):
        found += finder(text)
    if region is not None or "+" in text:
        found += _phones(text, region)
    ordered: list[Span] = []
    rank = {kind: number for number, kind in enumerate(KINDS)}
    for span in sorted(found, key=lambda span: (span.start, -span.end, rank[span.kind])):
        if not ordered or span.start >= ordered[-1].end:
            ordered.append(span)
        elif span.end > ordered[-1].end:  # nothing of either may be left over
            ordered[-1] = ordered[-1]._replace(end=span.end)
    return ordered


def _secrets(text: str) -> Iterator[Span]:
    lower = text.lower()
    is_assigned = any(word in lower for word in _ASSIGNMENT_WORDS)
    for detector in _detectors():
        name = type(detector).__name__
        if name in _ASSIGNMENTS and not is_assigned:
            continue
        for pattern in detector.denylist:
            for match in pattern.finditer(text):
                if name == _JWT and not detector.is_formally_valid(match[0]):
                    continue
                kind = "ip_address" if name == _IP else "secret"
                yield Span(*_whole(text, name, match), kind)


def _whole(text: str, name: str, match: re.Match[str]) -> tuple[int, int]:
    """Where the secret begins and ends; some patterns match the beginning of it only."""
    start, end = match.span()
    if name == "PrivateKeyDetector":
        last = _KEY_END.search(text, end)
        return len(text[:start].rstrip("-")), last.end() if last else len(text)
    if name == _JWT:
        rest = _JWT_REST.match(text, end)
        return start, rest.end() if rest else end
    return start, end


@lru_cache(maxsize=1)
def _detectors() -> list[Any]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    classes = get_mapping_from_secret_type_to_class().values()
    return [kind() for kind in classes if issubclass(kind, RegexBasedDetector)]


def _emails(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from (Span(*match.span(), "email") for match in _EMAIL.finditer(text))


def _numbers(text: str) -> Iterator[Span]:
    from stdnum import iban, luhn
    from stdnum.us import ssn

    for kind, pattern, is_valid in (
        ("credit_card", _CARD, luhn.is_valid),
        ("us_ssn", _SSN, ssn.is_valid),
    ):
        for match in pattern.finditer(text):
            if is_valid(match[0].replace(" ", "").replace("-", "")):
                yield Span(*match.span(), kind)
    for match in _IBAN.finditer(text):
        # Words in capitals may follow: the longest beginning that is valid.
        for end in range(len(match[0]), 14, -1):
            if match[0][end - 1] != " " and iban.is_valid(match[0][:end]):
                yield Span(match.start(), match.start() + end, "iban")
                break


def _phones(text: str, region: str | None) -> Iterator[Span]:
    import phonenumbers

    if sum(map(str.isdigit, text)) < 7:
        return
    for match in phonenumbers.PhoneNumberMatcher(text, region):
        yield Span(match.start, match.end, "phone")
