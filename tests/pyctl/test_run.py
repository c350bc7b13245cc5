import shlex
import subprocess

import pytest

from pyctl.errors import RunError
from pyctl.run import run


def test_output_is_returned():
    assert run(["printf", "%s", "a b"]) == "a b"


def test_no_shell_sees_the_words(tmp_path):
    assert run(["printf", "%s", "$(id) ; `id` *"]) == "$(id) ; `id` *"
    assert run(["pwd"], cwd=tmp_path).strip() == str(tmp_path)


def test_a_failure_can_be_pasted_into_a_shell(tmp_path):
    odd = tmp_path / "a b"
    odd.mkdir()
    with pytest.raises(RunError) as caught:
        run(["cat", "no such 'file'"], cwd=odd, env={"X": "1 2"})
    error = caught.value
    assert error.returncode == 1
    assert "cat ended with status 1" in error.message
    assert "No such file" in error.message
    command = error.hint.removeprefix("The command was: ")
    assert shlex.split(command)[-1] == "no such 'file'"
    again = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "no such 'file'" in again.stderr


def test_other_statuses_can_be_fine():
    assert run(["false"], ok=(0, 1)) == ""
    with pytest.raises(RunError):
        run(["true"], ok=(1,))


def test_a_program_that_is_not_there():
    with pytest.raises(RunError, match="Cannot start the program no-such-program") as caught:
        run(["no-such-program", "x"])
    assert caught.value.returncode == -1
    assert "no-such-program x" in str(caught.value)
