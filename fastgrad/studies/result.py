"""What a study hands back: rows of published, predicted and measured values, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Value = float | str | None
Cells = Sequence[Sequence[Value]]


@dataclass(frozen=True)
class Row:
    """One thing that was published, predicted and measured; None where it was not.

    Attributes
    ----------
    what : str
        With its unit.
    published : str or None
        In words, from the study's source unless another one is named.
    predicted : float, str or None
        By theory, without any training.
    measured : float, str or None
        With fastgrad, here.
    """

    what: str
    published: str | None
    predicted: Value
    measured: Value


@dataclass(frozen=True)
class Result:
    """A study that is done.

    Attributes
    ----------
    title : str
    rows : sequence of Row
    draw : callable
        Draws on an empty figure of `size` inches.
    size : (float, float)
        Width and height.
    tables : dict of str to rows of cells
        More of them, by their titles; the first row is the header.
    note : str
        What one must know to read the numbers: sizes, seeds, and what differs from the source.
    """

    title: str
    rows: Sequence[Row]
    draw: Callable[[Figure], None]
    size: tuple[float, float] = (11.0, 4.5)
    tables: Mapping[str, Cells] = field(default_factory=dict)
    note: str = ""

    def measured(self, what: str) -> Value:
        """What was measured in the row of that name."""
        return next(row.measured for row in self.rows if row.what == what)

    def text(self) -> str:
        """All of it but the picture."""
        parts = [self.title]
        if self.rows:
            cells = [(row.what, row.published, row.predicted, row.measured) for row in self.rows]
            parts.append(aligned([("", "published", "predicted", "measured"), *cells]))
        for title, table in self.tables.items():
            parts.append(f"{title}\n{aligned(table)}")
        return "\n\n".join([*parts, self.note] if self.note else parts)

    def figure(self) -> Figure:
        """The picture, which belongs to no window.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from fastgrad.plots import need_matplotlib

        need_matplotlib()
        from matplotlib.figure import Figure

        figure = Figure(figsize=self.size, dpi=120, layout="constrained")
        self.draw(figure)
        return figure


def shown(value: Value) -> str:
    """A number with three digits; "-" for None."""
    if isinstance(value, str):
        return value
    return "-" if value is None else f"{value:.3g}"


def aligned(table: Cells) -> str:
    """A table whose first row is its header, as text."""
    cells = [[shown(cell) for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)
