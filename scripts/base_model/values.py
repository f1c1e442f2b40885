"""Random values of the kinds that people put into requests: numbers, names, files, code."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from .words import load_words

HEX_DIGITS = "0123456789ABCDEF"
FILE_ENDINGS = ("txt", "csv", "md", "png", "jpg", "wav", "mp3", "pdf", "xml", "log", "toml", "zip")
REGISTERS = ("R0", "R1", "R2", "R3", "ACC", "IX", "IY", "SP", "BX", "D7")


def pseudo_word(rng: Random) -> str:
    """A pronounceable word that no list holds, such as `tavoke`."""
    count = rng.randint(1, 3)
    syllables = (rng.choice("bcdfghjklmnprstvwyz") + rng.choice("aeiou") for _ in range(count))
    return "".join(syllables) + rng.choice(("", "", "n", "r", "s", "x", "k", "lt"))


def any_word(rng: Random) -> str:
    """A word from the lists, now and then an invented one."""
    return pseudo_word(rng) if rng.random() < 0.25 else rng.choice(load_words().everything)


def integer(rng: Random) -> int:
    """A whole number; small ones and round ones are more common, as in real requests."""
    magnitude = rng.choice((10, 100, 100, 1000, 1000, 10_000, 100_000))
    number = rng.randrange(magnitude)
    return number * 10 if rng.random() < 0.15 else number


def hex_digits(rng: Random, count: int) -> str:
    """`count` upper-case hex digits."""
    return "".join(rng.choice(HEX_DIGITS) for _ in range(count))


def hex_number(rng: Random) -> str:
    """A hex literal in one of the usual notations."""
    digits = hex_digits(rng, rng.choice((2, 3, 4, 4, 6, 6, 8)))
    digits = digits.lower() if rng.random() < 0.2 else digits
    return rng.choice(("0x", "$", "#", "0x", "$", "&H", "")) + digits


def byte_string(rng: Random) -> str:
    """Some bytes in hex, such as `3F A0 11` or `3FA011`."""
    separator = rng.choice((" ", " ", "", ":", "-"))
    return separator.join(hex_digits(rng, 2) for _ in range(rng.randint(1, 8)))


def identifier(rng: Random) -> str:
    """A name as in code: `snake_case`, `kebab-case` or a word with a number."""
    separator = rng.choice(("_", "_", "-", ""))
    name = separator.join(any_word(rng) for _ in range(rng.randint(1, 3)))
    number = f"{rng.choice(('', '_', '-', '_v'))}{rng.randrange(100)}"
    return name + number if rng.random() < 0.4 else name


def file_path(rng: Random) -> str:
    """A relative or absolute file path, with a known or an invented ending."""
    folders = [identifier(rng) for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 3)))]
    ending = rng.choice(FILE_ENDINGS) if rng.random() < 0.5 else pseudo_word(rng)[:3]
    root = rng.choice(("", "", "", "/", "./", "~/"))
    return root + "/".join([*folders, f"{identifier(rng)}.{ending}"])


def phrase(rng: Random) -> str:
    """Two to six words."""
    words = [any_word(rng) for _ in range(rng.randint(2, 6))]
    words[0] = words[0].capitalize() if rng.random() < 0.3 else words[0]
    return " ".join(words)


def _operand(rng: Random) -> str:
    number = hex_digits(rng, rng.choice((1, 2, 2, 4, 6)))
    plain = (f"${number}", f"#${number}", f"0x{number}", rng.choice(REGISTERS), identifier(rng))
    return rng.choice(plain) + rng.choice(("", "", "", ",X", ", R1", "+1"))


def _statement(rng: Random) -> str:
    mnemonic = "".join(rng.choice("ABCDEIJLMNOPRSTUX") for _ in range(rng.choice((2, 3, 3, 3, 4))))
    mnemonic += rng.choice(("", "", "", ".w", ".b"))
    return mnemonic if rng.random() < 0.25 else f"{mnemonic} {_operand(rng)}"


def code(rng: Random) -> str:
    """One to four statements of an invented assembly language on one line."""
    separator = rng.choice((" : ", " : ", "; ", " | "))
    return separator.join(_statement(rng) for _ in range(rng.randint(1, 4)))


def date(rng: Random) -> str:
    """A date or a time of day."""
    if rng.random() < 0.4:
        return f"{rng.randrange(24):02d}:{rng.randrange(60):02d}"
    return f"{rng.randint(1980, 2035)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


STRING_KINDS: dict[str, Callable[[Random], str]] = {
    "word": any_word,
    "name": identifier,
    "hex": hex_number,
    "bytes": byte_string,
    "file": file_path,
    "phrase": phrase,
    "code": code,
    "date": date,
}
# Long strings of odd characters are the hardest to copy, so they are practised most.
KIND_WEIGHTS = (2, 3, 4, 3, 4, 2, 4, 1)
# Kinds with spaces inside: a request has to quote them.
SPACED_KINDS = frozenset({"phrase", "code"})
