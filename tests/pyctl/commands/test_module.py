import pytest

from pyctl import modules
from pyctl.errors import ExitCode, RunError


@pytest.fixture
def programs(monkeypatch, tmp_path):
    """Records what would be run; no module is loaded or installed."""
    ran = []
    installed = tmp_path / "installed"

    def run(argv, **_):
        if argv[0] == "modinfo":
            if not installed.exists():
                raise RunError("modinfo ended with status 1.", returncode=1)
            return f"{installed}\n"
        ran.append([str(word) for word in argv])
        return ""

    monkeypatch.setattr(modules, "run", run)
    monkeypatch.setattr(modules, "_SYSFS", tmp_path / "sys")
    return ran


def tree(tmp_path, monkeypatch):
    root = tmp_path / "src"
    (root / "kernel").mkdir(parents=True)
    (root / "Makefile").touch()
    (root / "kernel/dm-remap-format.c").touch()
    monkeypatch.setattr(modules, "source_tree", lambda: root)
    return root


def test_load_inserts_the_module_that_was_built(run, programs, tmp_path, monkeypatch):
    root = tree(tmp_path, monkeypatch)
    (root / "kernel/dm-remap.ko").touch()
    result = run("module", "load", "--json", "dm_remap_debug=1")
    assert result.data == {"loaded": str(root / "kernel/dm-remap.ko")}
    assert programs[-1] == ["insmod", str(root / "kernel/dm-remap.ko"), "dm_remap_debug=1"]


def test_load_prefers_the_installed_module(run, programs, tmp_path, monkeypatch):
    tree(tmp_path, monkeypatch)
    installed = tmp_path / "installed"
    installed.touch()
    assert run("module", "load", "--json").data == {"loaded": str(installed)}
    assert programs == [["modprobe", "dm-remap"]]


def test_load_without_a_module(run, programs, tmp_path, monkeypatch):
    tree(tmp_path, monkeypatch)
    result = run("module", "load")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "pyctl module build" in result.stderr
    assert programs == []


def test_load_and_unload_of_a_loaded_module(run, programs, tmp_path):
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys/refcnt").write_text("2\n")
    assert run("module", "load").exit_code == ExitCode.REFUSED
    result = run("module", "unload")
    assert result.exit_code == ExitCode.REFUSED
    assert "in use (2 times)" in result.stderr
    (tmp_path / "sys/refcnt").write_text("0\n")
    assert run("module", "unload").exit_code == 0
    assert programs == [["rmmod", "dm_remap"]]


def test_unload_of_nothing(run, programs):
    assert run("module", "unload").exit_code == ExitCode.NOT_FOUND


def test_build_runs_make_in_the_tree(run, programs, tmp_path, monkeypatch):
    root = tree(tmp_path, monkeypatch)
    assert run("module", "build", "--json").data == {"tree": str(root)}
    assert programs == [["make", "module"]]


def test_status(run, programs, tmp_path):
    (tmp_path / "sys/parameters").mkdir(parents=True)
    (tmp_path / "sys/parameters/dm_remap_debug").write_text("1\n")
    (tmp_path / "sys/version").write_text("4.0.0\n")
    data = run("module", "status", "--json").data
    assert (data["loaded"], data["version"], data["installed"]) == (True, "4.0.0", "")
    assert data["parameters"] == {"dm_remap_debug": "1"}
    assert "dm_remap_debug=1" in run("module", "status").output


def test_the_source_tree_is_this_one():
    assert (modules.source_tree() / "pyctl/modules.py").samefile(modules.__file__)
