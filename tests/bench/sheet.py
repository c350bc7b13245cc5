"""Tables of figures, for a terminal and for documents."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.table import Table


@dataclass(frozen=True)
class Cell:
    """A figure, and whether it is as it should be; None: nobody has said how it should be."""

    text: str
    good: bool | None = None

    def __str__(self) -> str:
        if self.good is None:
            return self.text
        return f"[{'green' if self.good else 'red'}]{self.text}[/]"


@dataclass
class Sheet:
    """A table: the first `left` columns are words, the others figures.

    An empty row is a gap, which documents leave out.
    """

    title: str
    headings: Sequence[str]
    left: int = 1
    rows: list[Sequence[str | Cell]] = field(default_factory=list)

    def rich(self) -> Table:
        """For a terminal, as narrow as it can be: it shall fit 80 columns."""
        table = Table(
            title=self.title,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            collapse_padding=True,
        )
        for number, heading in enumerate(self.headings):
            justify = "left" if number < self.left else "right"
            table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for row in self.rows:
            if row:
                table.add_row(*map(str, row))
            else:
                table.add_section()
        return table

    def markdown(self) -> str:
        """For a document; figures that are not as they should be are bold."""
        rule = ["---"] * self.left + ["--:"] * (len(self.headings) - self.left)
        rows = [[_plain(cell) for cell in row] for row in self.rows if row]
        lines = [self.headings, rule, *rows]
        return f"{self.title}:\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _plain(cell: str | Cell) -> str:
    if isinstance(cell, str):
        return cell
    return f"**{cell.text}**" if cell.good is False else cell.text
