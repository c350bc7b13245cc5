import json

import pytest
from hypothesis import given

from pyctl.badblocks import HEAD, Format, ListError, badblocks, ddrescue, detect, lba
from tests.pyctl.badblocks.lists import extents_of, sets
from tests.pyctl.badblocks.test_ddrescue import MAP


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("", Format.BADBLOCKS),
        ("\n", Format.BADBLOCKS),
        ("12\n13\n", Format.BADBLOCKS),
        ("12\n" * HEAD, Format.BADBLOCKS),
        (MAP, Format.DDRESCUE),
        ("0x0 +\n0x0 0x200 -\n", Format.DDRESCUE),
        ("16 - 1 # retrying\n", Format.DDRESCUE),
        (json.dumps({"smartctl": {}}), Format.SMARTCTL),
        ("\n  {", Format.SMARTCTL),
        ("# notes\n12\n", Format.LBA),
        ("0x12\n", Format.LBA),
        ("12 8\n14 1 # here\n", Format.LBA),
        ("# nothing\n", Format.LBA),
    ],
)
def test_a_format_is_known_by_how_it_begins(head, kind):
    assert detect(head[:HEAD]) is kind


@pytest.mark.parametrize(
    "head", ["hello\n", "1\n2\nx\n", "1 2 3\n", "\0\0\0\0", "%PDF-1.4", "-5\n"]
)
def test_what_is_none_of_them_is_refused(head):
    with pytest.raises(ListError, match="none of the known formats"):
        detect(head)


@given(sets(most=5000))
def test_what_we_write_is_recognised(sectors):
    extents = extents_of(sectors)
    assert detect("".join(badblocks.write(extents, 512))[:HEAD]) is Format.BADBLOCKS
    assert detect("".join(lba.write(extents, 512))[:HEAD]) is Format.LBA
    text = "".join(ddrescue.write(extents, 0, 2**22, 2**22, "x"))
    assert detect(text[:HEAD]) is Format.DDRESCUE
