"""Of pyroute2 only its messages are loaded, and nobody else notices."""

import subprocess
import sys

import pytest

WATCH = """
import sys
seen = []

class Watch:
    def find_spec(name, path=None, target=None):
        seen.append(name)

sys.meta_path.insert(0, Watch)
"""
CASES = {
    "only its messages": """
import pyctl.daemon.main
assert "pyroute2.netlink" in seen
assert "pyroute2.iproute" not in seen
""",
    "the whole of it later": """
import pyctl.netlink.wire, pyroute2
assert issubclass(pyroute2.NetNS, pyroute2.IPRoute)
assert pyroute2.netlink.nlmsg
""",
    "the whole of it before": """
import pyroute2, pyctl.netlink.wire as wire
assert "pyroute2.iproute" in seen
assert wire.netlink is pyroute2.netlink
""",
}


@pytest.mark.parametrize("name", CASES)
def test_pyroute2(name):
    subprocess.run([sys.executable, "-c", WATCH + CASES[name]], check=True)
