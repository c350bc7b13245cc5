import uuid
from pathlib import Path

import pytest

from pyctl import setconfig
from pyctl.errors import FormatError, NotFoundError, UsageError
from pyctl.setconfig import SetConfig

UUID = uuid.UUID("11111111-2222-4333-8444-555555555555")
PATH = Path(f"/etc/dm-remap/sets.d/{UUID}.conf")
GOOD = SetConfig(UUID, "srv", True, 204800, 512, "wwid=naa.1 serial=S fsuuid=F=1")


def test_what_is_written_is_read():
    for config in (GOOD, SetConfig(UUID, "a.b-c_1", False, 8, 4096, "")):
        assert setconfig.parse(config.text(), PATH) == config


def test_comments_and_empty_lines_are_fine():
    assert setconfig.parse("# x\n\n" + GOOD.text() + "\n#y", PATH) == GOOD


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("auto=yes", "auto=maybe", 3),
        ("auto=yes", "auto = yes", 3),
        ("auto=yes", "auto", 3),
        ("auto=yes", "auto=yes\nauto=no", 4),
        ("name=srv", "name=a b", 2),
        ("name=srv", "name=a/b", 2),
        ("name=srv", "name=", 2),
        ("main_sectors=204800", "main_sectors=-1", 4),
        ("main_sectors=204800", "main_sectors=many", 4),
        ("unit_bytes=512", "unit_bytes=1024", 5),
        ("identity=", "nmae=x\nidentity=", 6),
    ],
)
def test_an_error_names_its_line(old, new, line):
    with pytest.raises(FormatError, match=rf"{UUID}\.conf:{line}: "):
        setconfig.parse(GOOD.text().replace(old, new), PATH)


@pytest.mark.parametrize("key", ["name", "auto", "main_sectors", "unit_bytes", "identity"])
def test_nothing_may_be_missing(key):
    lines = [line for line in GOOD.text().splitlines() if not line.startswith(key)]
    with pytest.raises(FormatError, match=f"no line `{key}=`"):
        setconfig.parse("\n".join(lines), PATH)


@pytest.mark.parametrize("name", ["x.conf", f"{UUID}", f"{UUID.hex}.conf", f"{UUID}.txt"])
def test_the_file_is_named_by_its_set(name):
    with pytest.raises(FormatError, match="not the UUID of a set"):
        setconfig.parse(GOOD.text(), Path("/etc/dm-remap/sets.d", name))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 128, "..", "ä", "a\n"])
def test_names_that_udev_would_change_are_refused(name):
    with pytest.raises(UsageError, match="cannot be remembered"):
        SetConfig(UUID, name, True, 8, 512, "")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(NotFoundError):
        setconfig.read(tmp_path / f"{UUID}.conf")
    (tmp_path / f"{UUID}.conf").write_bytes(b"name=\xff\n")
    with pytest.raises(FormatError, match="no ASCII"):
        setconfig.read(tmp_path / f"{UUID}.conf")
