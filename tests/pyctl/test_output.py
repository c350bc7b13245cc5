import contextlib
import io
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from pyctl.output import Pairs, Rows, counted, progress_bar, show


def test_numbers_are_aligned_to_the_right(capsys):
    show(Rows(["NAME", "COUNT"], [["a", 5], ["bc", 12345]]))
    assert capsys.readouterr().out == "NAME  COUNT\na         5\nbc    12345\n"


@given(st.lists(st.text("ab[]/\\=", min_size=1, max_size=300), min_size=1, max_size=4, unique=True))
def test_no_cell_is_changed_or_cut(cells):
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        show(Pairs(dict.fromkeys(cells, "end")))
    assert [line.split() for line in stdout.getvalue().splitlines()] == [[c, "end"] for c in cells]


def test_rich_is_not_imported_for_json():
    code = "import sys, pyctl.cli; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_bar_where_there_is_no_terminal(capsys):
    with progress_bar("x") as step:
        assert step is None
    assert capsys.readouterr() == ("", "")


def test_the_bar_shows_the_rate(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress_bar("Remapping", "sectors") as step:
        step(10, 40)
    assert "25 %" in terminal.getvalue()
    assert "sectors/s" in terminal.getvalue()


def test_counted():
    assert [counted(n, "block") for n in (0, 1, 2)] == ["0 blocks", "1 block", "2 blocks"]
