"""Who calls, and how often."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyctl.daemon.api.access import Access, Caller, Limiter, Role, load_tokens
from pyctl.errors import RefusedError, UsageError

HASH = hashlib.sha256(b"secret").hexdigest()


@pytest.fixture
def tokens(tmp_path):
    def write(text, mode=0o600):
        path = tmp_path / "tokens"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def test_roles_include_those_before():
    table = [[one.includes(other) for other in Role] for one in Role]
    assert table == [[True, False, False], [True, True, False], [True, True, True]]


def test_a_file_of_tokens(tokens):
    found = load_tokens(tokens(f"# who\n\n  grafana viewer {HASH}\n"))
    assert found == {HASH: Caller("token:grafana", Role.VIEWER)}
    assert load_tokens(None) == {}


@pytest.mark.parametrize(
    "line",
    [
        "grafana viewer",
        f"grafana root {HASH}",
        f"grafana viewer {HASH[1:]}",
        f"grafana viewer {HASH.upper()}",
        f"gra/fana viewer {HASH}",
        f"grafana viewer {HASH} more",
        f"a viewer {HASH}\nb viewer {HASH}",
    ],
)
def test_mistakes_in_it(tokens, line):
    with pytest.raises(UsageError, match=r"tokens:\d: this is not"):
        load_tokens(tokens(line))


def test_others_must_not_read_it(tokens):
    with pytest.raises(RefusedError, match="Others than its owner"):
        load_tokens(tokens("", 0o644))


def test_callers():
    access = Access({HASH: Caller("token:x", Role.OPERATOR)})
    assert access.caller("10.0.0.1", "secret") == Caller("token:x", Role.OPERATOR)
    assert access.caller("uid:0", None) == Caller("user:root", Role.ADMIN)
    # a token counts, even for root: who shows one wants to be that one
    assert access.caller("uid:0", "wrong") is None
    for address in ("uid:1000", "uid:", "uid:00", "0", "10.0.0.1", ""):
        assert access.caller(address, None) is None
    for token in ("", "Secret", "secret ", HASH, "\udcff"):
        assert access.caller("10.0.0.1", token) is None


@given(st.lists(st.floats(0, 3), max_size=200), st.integers(1, 20))
def test_never_more_than_the_limit(pauses, per_second):
    """In any time: no more than twice the rate at once, and the rate on top of it."""
    now = [0.0]
    limiter = Limiter(per_second, lambda: now[0])
    passed = []
    for pause in pauses:
        now[0] += pause
        early = limiter.take("a")
        if not early:
            passed.append(now[0])
        else:
            # who waits that long is let in
            now[0] += early + 1e-6
            assert limiter.take("a") == 0
            passed.append(now[0])
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            most = 2 * per_second + (passed[last] - passed[first]) * per_second
            assert last - first + 1 <= most + 1e-6


def test_callers_are_apart_and_forgotten(monkeypatch):
    monkeypatch.setattr("pyctl.daemon.api.access._CALLERS", 10)
    limiter = Limiter(1, lambda: 0.0)
    assert [bool(limiter.take("a")) for _ in range(3)] == [False, False, True]
    assert limiter.take("b") == 0
    for number in range(50):
        limiter.take(str(number))
    assert len(limiter._left) == 10
