"""Reading a line of the contract."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from fastgrad.backends.contract.kernels import CONTRACT

_ARGUMENT = re.compile(
    r"(?P<name>\w+)(\[(?P<dims>[^\]]*)\])?(:(?P<kind>\w+))?(<(?P<below>\w+))?"
    r"(?P<keep>!)?(?P<optional>\?)?(~(?P<alias>\w+))?$"
)


@dataclass(frozen=True)
class Argument:
    """One argument of a kernel, as its line of the contract states it."""

    name: str
    dims: tuple[str, ...] | None
    kind: str | None
    below: str | None
    optional: bool
    written: bool
    alias: str | None


@functools.cache
def arguments(kernel: str) -> tuple[Argument, ...]:
    """The parsed contract of `kernel`."""
    parsed = []
    written = False
    for word in CONTRACT[kernel].split():
        if word == "->":
            written = True
            continue
        m = _ARGUMENT.match(word)
        if m is None:
            raise ValueError(f"contract of {kernel}: cannot read {word!r}")
        dims = None if m["dims"] is None else tuple(m["dims"].split(","))
        optional = bool(m["optional"])
        parsed.append(
            Argument(m["name"], dims, m["kind"], m["below"], optional, written, m["alias"])
        )
    return tuple(parsed)


@functools.cache
def size_of(dim: str) -> tuple[int, str, int]:
    """A dimension as a factor, a name ("" for none) and what is added to their product."""
    m = re.fullmatch(r"(\d*)([A-Za-z]?)(?:\+(\d+))?", dim)
    if m is None:
        raise ValueError(f"cannot read dimension {dim!r}")
    return int(m[1] or 1), m[2], int(m[3] or 0)
