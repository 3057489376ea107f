"""The command line: its parser, and what becomes of errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from fastgrad.commands import check, demo, info, predict, train
from fastgrad.system import version

__all__ = ["main"]

_COMMANDS = {"demo": demo, "train": train, "check": check, "predict": predict, "info": info}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors look like those that the commands report."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where to read on, and exit with status 2."""
        self.exit(_report(f"error: {message} (see {self.prog} --help)", 2))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments ask for, and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments, by default those of the process.

    Returns
    -------
    int
        0 on success, or what the command returns; 2 for input that cannot be used, which is
        reported on standard error; 130 when interrupted from the keyboard; 1 when standard output
        is closed.
    """
    arguments = _parse(argv)
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _report("interrupted", 130)
    except BrokenPipeError:
        # A reader such as head has seen enough. Without this, the flush at exit would fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _report(f"error: {place}{error.strerror or error}", 2)
    except (ValueError, ImportError) as error:
        return _report(f"error: {error}", 2)
    except MemoryError as error:
        return _report(f"error: not enough memory: {error}", 2)
    return int(status or 0)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="fastgrad", description="Train dense networks on a CPU.")
    parser.add_argument("--version", action="version", version=version())
    commands = parser.add_subparsers(metavar="command", required=True)
    for name, command in _COMMANDS.items():
        summary = (command.__doc__ or "").partition("\n")[0]
        sub = commands.add_parser(name, help=summary, description=summary)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser.parse_args(argv)


def _report(message: str, status: int) -> int:
    print(f"fastgrad: {message}", file=sys.stderr)
    return status
