"""Values that people put into requests to ROM-hacking tools, and which split each may occur in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random

Value = str | int | bool


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Twentieths of all open-ended values that each split owns.
SHARES = {"train": range(0, 12), "val": range(12, 15), "test": range(15, 20)}

HACKS = _words(
    "zelda3 alttp oracle parallel_worlds goddess lttp hyrule dark_world light_world master_quest "
    "kakariko ganon triforce agahnim lost_woods"
)
VARIANTS = ("", "", *_words("_final _test _beta _us _jp _patched _clean _dev -fast"))
SUBJECTS = _words(
    "boss_room title link castle sanctuary dungeon village cave desert swamp tower menu map chest "
    "bridge forest throne credits lake graveyard hud shop ice_palace turtle_rock"
)
RESOURCE_ENDINGS = _words("bin json pal gfx zmsg csv tile")
WORK_RAM_BANKS = ("7E", "7E", "7F")
ROM_BANKS = ("00", "02", "07", "0E", "1B", "20", "22", "30")


def split_of(kind: str, value: Value) -> str:
    """The one split that may use this value: decided by its hash, so no list has to be kept."""
    digest = hashlib.sha256(f"{kind}:{value}".encode()).digest()
    twentieth = int.from_bytes(digest[:4], "big") % 20
    return next(split for split, owned in SHARES.items() if twentieth in owned)


def hex_digits(rng: Random, count: int) -> str:
    """`count` upper-case hex digits."""
    return "".join(rng.choice("0123456789ABCDEF") for _ in range(count))


def address(rng: Random) -> str:
    """A SNES address with its bank, as `$7EF36D` or `0x7EF36D`, or a short one in work RAM."""
    bank = rng.choice(WORK_RAM_BANKS if rng.random() < 0.7 else ROM_BANKS)
    digits = bank + hex_digits(rng, 4) if rng.random() < 0.85 else hex_digits(rng, 4)
    return rng.choice(("$", "0x")) + digits


def byte_count(rng: Random) -> int:
    """How many bytes to read: a round number, or any."""
    if rng.random() < 0.4:
        return rng.choice(
            (2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)
        )
    return rng.randint(3, 900)


def byte_data(rng: Random) -> str:
    """One to six bytes in hex."""
    return " ".join(hex_digits(rng, 2) for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 6))))


def _statement(rng: Random) -> str:
    byte, word = hex_digits(rng, 2), hex_digits(rng, 4)
    long = rng.choice(WORK_RAM_BANKS) + word
    forms = (
        f"{rng.choice(('LDA', 'LDX', 'LDY', 'CMP', 'AND', 'ORA'))} #${byte}",
        f"{rng.choice(('SEP', 'REP'))} #${rng.choice(('20', '30'))}",
        f"{rng.choice(('INC', 'DEC', 'BNE', 'BEQ'))} ${byte}",
        f"{rng.choice(('LDA', 'STA', 'STZ', 'JSR'))} ${word}",
        f"{rng.choice(('STA', 'LDA', 'JSL'))} ${long}",
        f"{rng.choice(('LDA', 'STA'))} ${word},{rng.choice('XY')}",
    )
    return rng.choice(forms)


def assembly(rng: Random) -> str:
    """One to three 65816 statements on one line, at times with a return."""
    statements = [_statement(rng) for _ in range(rng.choice((1, 2, 2, 3)))]
    if rng.random() < 0.3:
        statements.append(rng.choice(("RTS", "RTL", "NOP")))
    return " : ".join(statements)


def resource_id(rng: Random) -> int:
    """Number of a room, sprite, palette, ..."""
    return rng.randint(2, 519)


def frame_count(rng: Random) -> int:
    """How many video frames to run; 60 are a second."""
    return rng.choice((rng.randint(2, 60) * 10, rng.randint(2, 60) * 60, rng.randint(2, 999)))


def _in_folder(rng: Random, folders: tuple[str, ...], file: str) -> str:
    folder = rng.choice(folders)
    return f"{folder}/{file}" if folder else file


def rom_path(rng: Random) -> str:
    """Path of a ROM file."""
    number = str(rng.randint(2, 40)) if rng.random() < 0.4 else ""
    name = f"{rng.choice(HACKS)}{rng.choice(VARIANTS)}{number}"
    folders = ("", "", "roms", "roms", "build", "hacks", "out", "roms/dev", "/home/link/roms")
    return _in_folder(rng, folders, f"{name}.{rng.choice(('sfc', 'sfc', 'smc'))}")


def picture_path(rng: Random) -> str:
    """Path of a picture to write."""
    name = f"{rng.choice(SUBJECTS)}_{rng.choice(('', 'frame', 'shot', 'v', 'bug'))}"
    name = name.rstrip("_") + str(rng.randint(1, 99)) * (rng.random() < 0.7)
    return _in_folder(rng, ("", "shots", "captures", "out", "docs/img", "tmp"), f"{name}.png")


def resource_path(rng: Random) -> str:
    """Path of a file that holds one resource."""
    name = f"{rng.choice(SUBJECTS)}{rng.choice(('', '_new', '_old', '_edit', '_raw'))}"
    name += str(rng.randint(1, 199)) * (rng.random() < 0.6)
    folders = ("", "assets", "gfx", "dump", "export", "work", "mods/data", "edits")
    return _in_folder(rng, folders, f"{name}.{rng.choice(RESOURCE_ENDINGS)}")


def report_path(rng: Random) -> str:
    """Path of a report to write."""
    name = f"{rng.choice(HACKS)}_{rng.choice(('report', 'check', 'errors', 'audit', 'log'))}"
    name += str(rng.randint(1, 60)) * (rng.random() < 0.6)
    return _in_folder(
        rng, ("", "logs", "reports", "out"), f"{name}.{rng.choice(('txt', 'json', 'md'))}"
    )


OPEN_VALUES: dict[str, Callable[[Random], Value]] = {
    "address": address,
    "assembly": assembly,
    "byte_count": byte_count,
    "byte_data": byte_data,
    "frame_count": frame_count,
    "picture_path": picture_path,
    "report_path": report_path,
    "resource_id": resource_id,
    "resource_path": resource_path,
    "rom_path": rom_path,
}


def draw(rng: Random, kind: str, split: str) -> Value:
    """A value of an open-ended kind that belongs to the split."""
    make = OPEN_VALUES[kind]
    while split_of(kind, value := make(rng)) != split:
        pass
    return value
