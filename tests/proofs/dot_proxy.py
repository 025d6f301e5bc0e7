"""A TCP proxy that breaks a line at a letter's final dot, so that its sender is left in doubt."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from tests.proofs.oracle import end_by_reset

DOT = b"\r\n.\r\n"
PIECE = 1 << 16


class Fate(StrEnum):
    """What becomes of a line whose dot has just come."""

    PASS = "pass"
    # The relay takes the letter; its answer never arrives.
    ANSWER_LOST = "answer lost"
    # The relay gets the dot; the sender sees the line end at once, in order or by a reset.
    ENDED = "ended"
    RESET = "reset"
    # Nobody gets the dot.
    DOT_LOST = "dot lost"
    # The relay takes the letter; the sender hears nothing more.
    SILENT = "silent"


@dataclass
class _Line:
    """The two ends of a line, and whether the relay's answers still pass."""

    sender: asyncio.StreamWriter
    relay: asyncio.StreamWriter
    fate: Fate = Fate.PASS


class DotProxy:
    """Carries lines to the relay at port ``to``; ``deal`` says what the next dots meet."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._fates: list[Fate] = []
        # The loop itself keeps no hold of its tasks.
        self._lines: set[asyncio.Task[None] | None] = set()
        self.port = 0
        self.dealt: Counter[Fate] = Counter()

    def deal(self, fates: Sequence[Fate]) -> None:
        """The next dots meet these, in this order; all after them pass."""
        self._fates = list(fates)

    async def carry(self, reader: asyncio.StreamReader, sender: asyncio.StreamWriter) -> None:
        """One line, until both ends have left or a dot has met its fate."""
        self._lines.add(asyncio.current_task())
        with contextlib.closing(sender), contextlib.suppress(OSError):
            relay_reader, relay = await asyncio.open_connection("127.0.0.1", self._to)
            with contextlib.closing(relay):
                line = _Line(sender, relay)
                inward = asyncio.create_task(self._answer(relay_reader, line))
                await self._ask(reader, line)
                await inward
        self._lines.discard(asyncio.current_task())

    async def _ask(self, reader: asyncio.StreamReader, line: _Line) -> None:
        tail = b""
        while piece := await reader.read(PIECE):
            has_dot = DOT in tail + piece
            tail = b"" if has_dot else (tail + piece)[1 - len(DOT) :]
            if has_dot and not self._meets_its_fate(line):
                line.relay.close()
                line.sender.close()
                return
            line.relay.write(piece)
            await line.relay.drain()
            if line.fate in (Fate.ENDED, Fate.RESET):
                if line.fate is Fate.RESET:
                    end_by_reset(line.sender)
                line.sender.close()
                break
        with contextlib.suppress(OSError):
            line.relay.write_eof()

    def _meets_its_fate(self, line: _Line) -> bool:
        """Deal the next fate to this line; False where its dot goes no further."""
        line.fate = self._fates.pop(0) if self._fates else Fate.PASS
        self.dealt[line.fate] += 1
        return line.fate is not Fate.DOT_LOST

    async def _answer(self, reader: asyncio.StreamReader, line: _Line) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE):
                if line.fate is Fate.ANSWER_LOST:
                    line.sender.close()
                elif line.fate is Fate.PASS:
                    line.sender.write(piece)
                    await line.sender.drain()
        if line.fate is not Fate.SILENT:
            line.sender.close()


@contextmanager
def open_dot_proxy(to: int) -> Iterator[DotProxy]:
    """A proxy in a thread of its own for the length of a ``with``."""
    proxy, loop = DotProxy(to), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        # Begun from outside: the thread of the tests may have a loop of a browser's running.
        serving = asyncio.start_server(proxy.carry, "127.0.0.1", 0, backlog=64)
        server = asyncio.run_coroutine_threadsafe(serving, loop).result(10)
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    lines = [line for line in asyncio.all_tasks() if line is not asyncio.current_task()]
    for line in lines:
        line.cancel()
    await asyncio.gather(*lines, return_exceptions=True)
