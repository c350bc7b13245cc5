import pytest

from pyctl.dm import Device, TargetLine
from pyctl.errors import ExitCode, UsageError, exit_code


@pytest.mark.parametrize("name", ["", "a/b", "x" * 128, "a\nb", "ü" * 64])
def test_an_impossible_name_is_refused(name):
    with pytest.raises(UsageError, match="cannot be the name") as caught:
        Device(name)
    assert exit_code(caught.value) == ExitCode.USAGE


@pytest.mark.parametrize("words", [("a b",), ("",), ("set", "x\ty"), ("a\\b",)])
def test_an_impossible_message_is_refused(words):
    with pytest.raises(UsageError, match="cannot be a word"):
        Device("d").message(0, *words)


def test_a_target_line_prints_as_dmsetup_does():
    assert str(TargetLine(0, 8, "zero", "")) == "0 8 zero"
    assert str(TargetLine(0, 8, "linear", "7:0 0")) == "0 8 linear 7:0 0"


def test_a_uuid_that_is_too_long_is_refused():
    with pytest.raises(UsageError, match="longer than 128"):
        Device("d").create([], uuid="x" * 129)
