"""The session with an agent that behaves badly."""

import asyncio
import contextlib

import pytest

from pyctl.daemon.senders import DoubtfulError, Message, NotSentError, Severity
from pyctl.daemon.snmp import subagent as module
from pyctl.daemon.snmp.objects import notification
from pyctl.daemon.snmp.subagent import Subagent
from pyctl.daemon.snmp.view import View
from pyctl.daemon.snmp.wire import HEADER, Header, Kind, answer_body, message

MESSAGE = Message("s-1", 0, Severity.WARNING, "srv", "subject", "x" * 1023 + "ä", "level-0")


class Master:
    """Answers as it is told: `answers` has an error for each kind of message, None for silence."""

    def __init__(self, path):
        self.path = path
        self.answers = {Kind.OPEN: 0, Kind.REGISTER: 0, Kind.PING: 0, Kind.NOTIFY: 0}
        self.heard = []
        self.garbage = b""

    async def talk(self, reader, writer):
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                header = Header.parse(await reader.readexactly(HEADER))
                await reader.readexactly(header.length)
                self.heard.append((header.kind, header.session))
                answer = self.answers.get(header.kind)
                if answer == "close":
                    break
                if answer is not None:
                    body = answer_body(answer)
                    writer.write(message(Kind.RESPONSE, body, session=7, packet=header.packet))
                    writer.write(self.garbage)
        writer.close()

    @contextlib.asynccontextmanager
    async def known(self, log):
        """A subagent that it knows of."""
        server = await asyncio.start_unix_server(self.talk, self.path)
        one = Subagent(str(self.path), lambda: View([], []), log)
        task = asyncio.create_task(one.run())
        try:
            while not one.connected and not task.done():
                await asyncio.sleep(0.01)
            yield one
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            server.close()


@pytest.fixture
def master(tmp_path):
    return Master(tmp_path / "agentx")


def run(master, work):
    said = []

    async def job():
        async with asyncio.timeout(60):
            async with master.known(lambda *words, **more: said.append(words[0])) as one:
                await work(one)

    asyncio.run(job())
    return said


def test_a_session(master):
    async def work(one):
        await one.notify(notification(MESSAGE))

    assert run(master, work) == ["known to the SNMP agent"]
    kinds = [kind for kind, _ in master.heard]
    assert kinds[:2] == [Kind.OPEN, Kind.REGISTER]
    assert kinds[-2:] == [Kind.NOTIFY, Kind.CLOSE]
    # the number that the agent gave
    assert {session for kind, session in master.heard if kind != Kind.OPEN} == {7}


def test_a_trap_that_is_refused_has_not_arrived(master):
    master.answers[Kind.NOTIFY] = 267

    async def work(one):
        with pytest.raises(NotSentError, match="error 267"):
            await one.notify(notification(MESSAGE))

    run(master, work)


@pytest.mark.parametrize("answer", [None, "close"])
def test_a_trap_without_an_answer_may_have_arrived(master, answer, monkeypatch):
    async def work(one):
        monkeypatch.setattr(module, "_ANSWER", 0.2)
        with pytest.raises(DoubtfulError, match="no answer"):
            await one.notify(notification(MESSAGE))

    master.answers[Kind.NOTIFY] = answer
    run(master, work)


def test_without_an_agent_nothing_is_sent(tmp_path):
    one = Subagent(str(tmp_path / "none"), lambda: View([], []), print)
    with pytest.raises(NotSentError, match="there is no SNMP agent"):
        asyncio.run(one.notify(notification(MESSAGE)))


def test_what_is_no_agentx_ends_the_session_and_the_next_one_begins(master, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.01)

    async def work(one):
        master.garbage = b"x" * HEADER
        with pytest.raises((DoubtfulError, NotSentError)):
            while True:
                await one.notify(notification(MESSAGE))
        master.garbage = b""
        while not one.connected:
            await asyncio.sleep(0.01)
        await one.notify(notification(MESSAGE))

    said = run(master, work)
    assert said[0] == said[-1] == "known to the SNMP agent"
    assert any(one.startswith("no SNMP agent") for one in said)


def test_a_text_is_cut_between_characters():
    told = {one.oid[-2]: one.value for one in notification(MESSAGE)[1:]}
    assert told[6] == b"x" * 1023


@pytest.mark.parametrize(
    ("occasion", "number"),
    [("level-0", 1), ("level-1", 2), ("worse-critical", 3), ("over", 4)],
)
def test_which_trap_tells_what(occasion, number):
    made = Message("s-1", 0, Severity.WARNING, "srv", "subject", "body", occasion)
    assert notification(made)[0].value[-2:] == (0, number)
