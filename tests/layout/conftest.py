import subprocess

import pytest


@pytest.fixture
def compile_object(tmp_path):
    def compile_text(text):
        (tmp_path / "unit.c").write_text(text)
        command = ["gcc", "-g", "-c", "unit.c"]
        subprocess.run(command, cwd=tmp_path, check=True)
        return tmp_path / "unit.o"

    return compile_text
