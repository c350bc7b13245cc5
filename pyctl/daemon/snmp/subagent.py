"""The session with an SNMP agent: connect, register, answer, send traps; and again when it ends."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from pyctl.daemon.senders import DoubtfulError, Message, NotSentError
from pyctl.daemon.snmp.objects import ROOT, notification
from pyctl.daemon.snmp.view import View
from pyctl.daemon.snmp.wire import (
    HEADER,
    Answer,
    Error,
    Header,
    Kind,
    Request,
    Varbind,
    WireError,
    answer_body,
    message,
    open_body,
    register_body,
)
from pyctl.errors import PyctlError

__all__ = ["Subagent", "Traps"]

# Seconds: between two tries to connect, from the first to the last of them; between two questions
# whether the agent is there; until an answer must have come.
_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_PING = 15.0
_ANSWER = 10.0
# A walk asks hundreds of times: so long it is told the same.
_FRESH = 1.0
_SHUTDOWN = bytes([5, 0, 0, 0])
_NO_SESSION = "there is no SNMP agent"


class Subagent:
    """Shows what `look` gives to the agent that listens at `path`. `log` hears what changes."""

    def __init__(self, path: str, look: Callable[[], View], log: Callable[..., object]) -> None:
        self.path = path
        self.look = look
        self.log = log
        self._session: _Session | None = None
        self._why = ""

    @property
    def connected(self) -> bool:
        """Is there an agent that knows of us?"""
        return self._session is not None and self._session.alive

    async def run(self) -> None:
        """Have a session whenever there is an agent, until cancelled."""
        pause = _PAUSE
        while True:
            try:
                async with _Session.opened(self.path, self.look) as session:
                    self._session = session
                    pause = _PAUSE
                    self._say("")
                    await session.serve()
            except (OSError, EOFError, TimeoutError, WireError) as error:
                self._say(str(error) or type(error).__name__)
            finally:
                self._session = None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def notify(self, varbinds: Sequence[Varbind]) -> None:
        """Have the agent send a trap. Raises NotSentError, DoubtfulError."""
        if self._session is None or not self._session.alive:
            raise NotSentError(f"{self.path}: {_NO_SESSION}.")
        try:
            error = await self._session.ask(Kind.NOTIFY, b"".join(one.encode() for one in varbinds))
        except (OSError, EOFError, TimeoutError, WireError) as broken:
            raise DoubtfulError(f"The SNMP agent gave no answer: {broken!r}.") from broken
        if error:
            raise NotSentError(f"The SNMP agent answered with error {error}.")

    def _say(self, why: str) -> None:
        if why and why != self._why:
            self.log("no SNMP agent; tried again until there is one", path=self.path, why=why)
        elif not why:
            self.log("known to the SNMP agent", path=self.path)
        self._why = why


class Traps:
    """A channel for alerts: each message is a trap. It has arrived when the agent has taken it."""

    def __init__(self, subagent: Subagent, loop: asyncio.AbstractEventLoop) -> None:
        self.subagent = subagent
        self.loop = loop

    def send(self, message: Message) -> str:
        """As Sender.send; to be called from another thread than the loop's."""
        sent = self.subagent.notify(notification(message))
        asyncio.run_coroutine_threadsafe(sent, self.loop).result()
        return ""


class _Session:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        look: Callable[[], View],
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.look = look
        self.number = 0
        self._packets = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[int, int]]] = {}
        self._view: tuple[float, View] | None = None
        self._hearing = asyncio.create_task(self._hear())

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, path: str, look: Callable[[], View]) -> AsyncIterator["_Session"]:
        """A session that is registered; closed in order at the end, if there is still somebody."""
        async with asyncio.timeout(_ANSWER):
            reader, writer = await asyncio.open_unix_connection(path)
        one = cls(reader, writer, look)
        try:
            await one._open()
            yield one
        finally:
            await one._close()

    @property
    def alive(self) -> bool:
        """Does it still hear anything?"""
        return not self._hearing.done()

    async def serve(self) -> None:
        """Until the connection ends or nobody answers."""
        while True:
            done, _ = await asyncio.wait({self._hearing}, timeout=_PING)
            if done:
                self._hearing.result()
            await self.ask(Kind.PING)

    async def ask(self, kind: Kind, body: bytes = b"") -> int:
        """Say something, and wait for the answer: its error, 0 when all is well."""
        return (await self._ask(kind, body))[0]

    async def _ask(self, kind: Kind, body: bytes) -> tuple[int, int]:
        packet = next(self._packets)
        answer: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._waiting[packet] = answer
        try:
            self._send(kind, body, packet=packet)
            both: set[asyncio.Future[Any]] = {answer, self._hearing}
            await asyncio.wait(both, timeout=_ANSWER, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if self._hearing.done():
                self._hearing.result()
            raise TimeoutError("it does not answer")
        finally:
            del self._waiting[packet]

    async def _open(self) -> None:
        error, self.number = await self._ask(Kind.OPEN, open_body("dm-remapd"))
        if error:
            raise WireError(f"The SNMP agent refuses a session: error {error}.")
        if error := await self.ask(Kind.REGISTER, register_body(ROOT)):
            raise WireError(f"The SNMP agent refuses our objects: error {error}.")

    async def _close(self) -> None:
        self._hearing.cancel()
        with contextlib.suppress(OSError):
            self._send(Kind.CLOSE, _SHUTDOWN, packet=next(self._packets))
        self.writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self.writer.wait_closed()
        await asyncio.gather(self._hearing, return_exceptions=True)

    async def _hear(self) -> None:
        while True:
            header = Header.parse(await self.reader.readexactly(HEADER))
            body = await self.reader.readexactly(header.length)
            if header.kind == Kind.RESPONSE:
                answer = self._waiting.get(header.packet)
                if answer is not None and not answer.done():
                    answer.set_result((Answer.parse(body).error, header.session))
            elif header.kind == Kind.CLOSE:
                raise EOFError("it has closed the session")
            elif header.kind != Kind.CLEANUP_SET:
                self._send(
                    Kind.RESPONSE,
                    self._answer(header, body),
                    packet=header.packet,
                    transaction=header.transaction,
                )
                await self.writer.drain()

    def _answer(self, header: Header, body: bytes) -> bytes:
        if header.kind in (Kind.TEST_SET, Kind.COMMIT_SET, Kind.UNDO_SET):
            return answer_body(Error.NOT_WRITABLE, index=1)
        if header.kind not in (Kind.GET, Kind.GET_NEXT, Kind.GET_BULK):
            return answer_body(Error.PARSE)
        try:
            request = Request.parse(header, body)
        except WireError:
            return answer_body(Error.PARSE)
        try:
            view = self._now()
        except PyctlError:
            return answer_body(Error.GENERAL, index=1)
        if header.kind == Kind.GET:
            found = [view.get(one.start) for one in request.ranges]
        else:
            found = view.bulk(request)
        return answer_body(Error.NONE, found)

    def _now(self) -> View:
        time = asyncio.get_running_loop().time()
        if self._view is None or time - self._view[0] > _FRESH:
            self._view = (time, self.look())
        return self._view[1]

    def _send(self, kind: Kind, body: bytes, *, packet: int, transaction: int = 0) -> None:
        self.writer.write(
            message(kind, body, session=self.number, packet=packet, transaction=transaction)
        )
