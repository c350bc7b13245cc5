"""Whatever a file holds: it is read, or refused with a ListError, and never anything else."""

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyctl.badblocks import HEAD, ListError, badblocks, ddrescue, detect, e2fsck, lba, smartctl
from tests.pyctl.badblocks.lists import lines
from tests.pyctl.badblocks.test_smartctl import ATA, NVME, SCSI

TEXTS = st.one_of(st.text(), st.text("0123456789xabcdef -+?*/#FG\n\t", max_size=200))
PARSERS = [
    lambda text: badblocks.parse(lines(text), 1024),
    lambda text: e2fsck.parse(lines(text), 4096),
    lambda text: lba.parse(lines(text), 512),
    lambda text: ddrescue.bad(ddrescue.parse(lines(text)), "-*/?"),
    lambda text: smartctl.extents(smartctl.load(text), 512),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("parse", PARSERS)
@given(text=TEXTS)
def test_any_text(parse, text):
    with contextlib.suppress(ListError):
        for extent in parse(text):
            assert extent.start >= 0
            assert extent.length >= 0
            assert extent.end_sector < 2**55
    with contextlib.suppress(ListError):
        detect(text[:HEAD])


def nodes(value, path=()):
    """The paths of all values in a document."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from nodes(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from nodes(inner, (*path, index))


@given(
    st.sampled_from([ATA, SCSI, NVME]).flatmap(
        lambda doc: st.tuples(st.just(doc), st.sampled_from(list(nodes(doc))[1:]), VALUES)
    )
)
@example((NVME, ("nvme_namespaces", 0, "id"), []))
def test_any_value_anywhere_in_what_smartctl_says(case):
    document, path, value = case
    document = json.loads(json.dumps(document))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with contextlib.suppress(ListError):
        list(smartctl.extents(smartctl.load(json.dumps(document)), 512))
