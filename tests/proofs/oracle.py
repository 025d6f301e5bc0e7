"""The oracle: a relay in a process of its own that writes down what it took responsibility for.

It speaks SMTP on loopback and meets faults by plan. Before it answers 250 to the dot, the copy
stands in its journal, synced to disk: the journal is D(m), whatever the sender came to know.
SIGUSR1 ends all faults; what it takes and what it refuses it goes on writing down.

``python -m tests.proofs.oracle --port 2525 --journal FILE --seed 1 --rate 0.03``
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import signal
import socket
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from typing import Any, BinaryIO

from tests.proofs.fault_plan import Fault, Phase, Plan

LONGEST_LINE = 1 << 20


class _Left(Exception):
    """This conversation is over."""


@dataclass(frozen=True)
class Copy:
    """One copy that the relay took responsibility for, as its journal has it.

    ``sha256`` is of the body as received, its stuffed dots taken out (RFC 5321 §4.5.2).
    """

    mail_id: str
    date: str
    sender: str
    recipient: str
    header_to: str
    sha256: str
    at: datetime


@dataclass
class Journal:
    """All that an oracle wrote down: copies, refusals for good by recipient, faults met."""

    copies: list[Copy] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    faults: set[tuple[str, str]] = field(default_factory=set)


def read_journal(path: Path) -> Journal:
    """What stands in the journal now; a last line that is still being written is left out."""
    journal = Journal()
    for line in path.read_text().splitlines(keepends=True) if path.exists() else ():
        if not line.endswith("\n"):
            break
        entry = json.loads(line)
        match entry.pop("kind"):
            case "copy":
                journal.copies.append(Copy(**entry | {"at": datetime.fromisoformat(entry["at"])}))
            case "refused":
                journal.refused.add(entry["recipient"])
            case _:
                journal.faults.add((entry["phase"], entry["fault"]))
    return journal


class Oracle:
    """The server: one journal, one plan for each connection."""

    def __init__(self, journal: BinaryIO, seed: int, rate: float) -> None:
        self._journal = journal
        self._seed = seed
        self._connections = 0
        self.rate = rate

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation from greeting to end."""
        self._connections += 1
        conversation = _Conversation(self, reader, writer, self._connections)
        with contextlib.suppress(_Left, OSError, asyncio.IncompleteReadError, ValueError):
            await conversation.run()
        with contextlib.suppress(OSError):
            writer.close()

    def plan(self, connection: int) -> Plan:
        return Plan(self._seed, connection, self.rate)

    def note(self, kind: str, *, durably: bool = False, **facts: str) -> None:
        """Append to the journal; ``durably`` returns once it is on disk."""
        self._journal.write(json.dumps({"kind": kind, **facts}).encode() + b"\n")
        self._journal.flush()
        if durably:
            os.fsync(self._journal.fileno())


class _Conversation:
    def __init__(
        self,
        oracle: Oracle,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
    ) -> None:
        self._oracle = oracle
        self._reader = reader
        self._writer = writer
        self._plan = oracle.plan(number)
        # Half of the connections offer pipelining, so that both ways of asking are met.
        self._pipelines = bool(number % 2)
        self._sender = self._recipient = ""

    async def run(self) -> None:
        await self._answer("connect", b"220 oracle.example ESMTP\r\n")
        while (line := await self._reader.readline()).endswith(b"\n"):
            # What has no end is no command: the line broke in the middle of it.
            verb, _, rest = line.decode("ascii").strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    offers = b"250-PIPELINING\r\n" if self._pipelines else b""
                    offers = b"250-oracle.example\r\n" + offers
                    await self._answer("ehlo", offers + b"250-DSN\r\n250 8BITMIME\r\n")
                case "MAIL":
                    self._recipient = self._sender = ""
                    if await self._answer("mail", b"250 2.1.0 ok\r\n"):
                        self._sender = _address(rest)
                case "RCPT":
                    await self._hear_recipient(_address(rest))
                case "DATA":
                    await self._hear_letter()
                case "RSET":
                    self._recipient = self._sender = ""
                    await self._say(b"250 2.0.0 ok\r\n")
                case "QUIT":
                    await self._say(b"221 2.0.0 bye\r\n")
                    raise _Left
                case _:
                    await self._say(b"502 5.5.1 what\r\n")

    async def _hear_recipient(self, address: str) -> None:
        if not self._sender:
            await self._say(b"503 5.5.1 from whom\r\n")
            return
        self._recipient = address
        if not await self._answer("rcpt", b"250 2.1.5 ok\r\n"):
            self._recipient = ""

    async def _hear_letter(self) -> None:
        if not self._recipient:
            await self._say(b"503 5.5.1 to whom\r\n")
            return
        if not await self._answer("data", b"354 go ahead\r\n"):
            return
        stuffed = await self._read_body()
        if not await self._answer("dot", b""):
            return
        self._take(stuffed)
        await self._answer("taken", b"250 2.0.0 taken\r\n")

    async def _read_body(self) -> list[bytes]:
        lines: list[bytes] = []
        fault = self._plan.fault_at("body") if self._oracle.rate else None
        breaks_at = self._plan.chance.randrange(1, 40)
        while (line := await self._reader.readline()) != b".\r\n":
            if not line.endswith(b"\r\n"):
                # The sender left without its dot: nothing was taken (RFC 5321 §4.1.1.4).
                raise _Left
            lines.append(line)
            if fault is not None and len(lines) == breaks_at:
                await self._perform("body", fault)
        return lines

    def _take(self, stuffed: list[bytes]) -> None:
        content = b"".join(line.removeprefix(b".") for line in stuffed)
        header = message_from_bytes(content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        self._oracle.note(
            "copy",
            durably=True,
            mail_id=header["Message-ID"],
            date=header["Date"],
            sender=self._sender,
            recipient=self._recipient,
            header_to=header["To"],
            sha256=hashlib.sha256(content).hexdigest(),
            at=datetime.now(UTC).isoformat(),
        )

    async def _answer(self, phase: Phase, usual: bytes) -> bool:
        """Say what is usual, or do what the plan says; True where the usual was said."""
        fault = self._plan.fault_at(phase) if self._oracle.rate else None
        if fault is not None and not await self._perform(phase, fault):
            return False
        await self._say(usual)
        return True

    async def _perform(self, phase: Phase, fault: Fault) -> bool:
        """Do it; True where the conversation then goes on as if nothing had been."""
        self._oracle.note("fault", phase=phase, fault=fault.name)
        await asyncio.sleep(fault.stall)
        if fault.leaves == "rst":
            end_by_reset(self._writer)
        if fault.leaves:
            raise _Left
        if not fault.reply:
            return True
        if fault.is_permanent and phase in ("rcpt", "data", "dot"):
            self._oracle.note("refused", recipient=self._recipient)
        await self._say(fault.reply)
        # 421 announces that the door closes (RFC 5321 §3.8); 554 greets nobody (§3.1).
        if fault.reply.startswith(b"421") or phase == "connect":
            raise _Left
        return False

    async def _say(self, words: bytes) -> None:
        self._writer.write(words)
        await self._writer.drain()


def end_by_reset(writer: asyncio.StreamWriter) -> None:
    """Have the line end by a RST, which throws away what was not read."""
    line: Any = writer.get_extra_info("socket")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


async def _serve(port: int, journal: BinaryIO, seed: int, rate: float) -> None:
    oracle = Oracle(journal, seed, rate)
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGUSR1, lambda: setattr(oracle, "rate", 0.0)
    )
    server = await asyncio.start_server(
        oracle.converse, "127.0.0.1", port, limit=LONGEST_LINE, backlog=256
    )
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.0)
    given = parser.parse_args()
    with given.journal.open("ab") as journal:
        asyncio.run(_serve(given.port, journal, given.seed, given.rate))


if __name__ == "__main__":
    main()
