import sys
import types

import pytest

from pyctl.probes import availability
from pyctl.probes.availability import UnavailableError


def test_without_bcc(monkeypatch):
    monkeypatch.setitem(sys.modules, "bcc", None)
    with pytest.raises(UnavailableError, match="python3-bpfcc is not installed"):
        availability.module_of_bcc()


def test_another_module_of_this_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "bcc", types.ModuleType("bcc"))
    with pytest.raises(UnavailableError, match="another one"):
        availability.module_of_bcc()


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel that has everything, in files."""
    files = {
        "_LOCKDOWN": ("lockdown", "[none] integrity confidentiality\n"),
        "_STATUS": ("status", "Name:\tx\nCapEff:\t000001ffffffffff\n"),
        "VMLINUX": ("vmlinux", ""),
    }
    for name, (file, text) in files.items():
        (tmp_path / file).write_text(text)
        monkeypatch.setattr(availability, name, tmp_path / file)
    (tmp_path / "6.1/build").mkdir(parents=True)
    (tmp_path / "block/block_bio_queue").mkdir(parents=True)
    for name in ("_MODULES", "_TRACING"):
        monkeypatch.setattr(availability, name, tmp_path)
    monkeypatch.setattr(availability, "_KHEADERS", tmp_path / "kheaders")
    return tmp_path


def test_a_kernel_that_has_everything(kernel):
    assert availability.reason("6.1") == ""


@pytest.mark.parametrize(
    ("effective", "may"),
    [(1 << 21, True), (1 << 38 | 1 << 39, True), (1 << 39, False), (1 << 38, False), (0, False)],
)
def test_capabilities(kernel, effective, may):
    (kernel / "status").write_text(f"Name:\tx\nCapEff:\t{effective:016x}\n")
    assert ("capabilities" in availability.reason("6.1")) != may


def test_lockdown(kernel):
    (kernel / "lockdown").write_text("none [integrity] confidentiality\n")
    assert availability.reason("6.1") == ""
    (kernel / "lockdown").write_text("none integrity [confidentiality]\n")
    assert "locked down" in availability.reason("6.1")


def test_headers(kernel):
    assert "headers of kernel 6.2" in availability.reason("6.2")
    (kernel / "kheaders").write_text("")
    assert availability.reason("6.2") == ""


def test_type_information_and_tracepoints(kernel):
    (kernel / "block/block_bio_queue").rmdir()
    assert "tracefs" in availability.reason("6.1")
    (kernel / "vmlinux").unlink()
    assert "type information" in availability.reason("6.1")
