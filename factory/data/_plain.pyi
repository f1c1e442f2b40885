from collections.abc import Callable

def read(
    data: bytes,
    first: int,
    keys: tuple[bytes, ...],
    roles: tuple[tuple[bytes, bytes, bool], ...],
    frame: tuple[bytes, bytes, bytes],
    fold: Callable[[str], bytes],
    /,
) -> tuple[bytes, bytearray, dict[bytes, int]] | None: ...
