"""A TCP proxy in a process of its own that breaks, stalls and half-closes by a seeded schedule.

It knows nothing of SMTP: a line ends in the middle of a command, a body or a reply. SIGUSR1 ends
all faults, for lines that are open too.

``python -m tests.proofs.tcp_proxy --port 2526 --to 2525 --seed 1 --rate 0.1``
"""

import argparse
import asyncio
import contextlib
import random
import signal

from tests.proofs.oracle import end_by_reset

PIECE = 1 << 16
# A line breaks after so many bytes one way: somewhere in its first letters.
LATEST_BREAK = 20_000
LONGEST_STALL = 0.5
WAYS = ("fin", "rst", "stall", "half")


class Proxy:
    """Carries bytes between a sender and the relay behind it. ``rate``: chance for each line."""

    def __init__(self, to: int, seed: int, rate: float) -> None:
        self._to = to
        self._seed = seed
        self._lines = 0
        self.rate = rate

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One line, until both ends have left or the schedule breaks it."""
        self._lines += 1
        chance = random.Random(f"{self._seed}/proxy/{self._lines}")
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        lines = (writer, inner_writer)
        outward = self._pump(reader, inner_writer, chance, lines)
        inward = self._pump(inner_reader, writer, chance, lines)
        with contextlib.suppress(OSError):
            await asyncio.gather(outward, inward)
        for line in lines:
            with contextlib.suppress(OSError):
                line.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        chance: random.Random,
        lines: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        fate = chance.choice(WAYS) if chance.random() < self.rate else ""
        left = int(LATEST_BREAK * chance.random() ** 2)
        while piece := await reader.read(PIECE):
            breaks = bool(fate and self.rate) and len(piece) >= left
            writer.write(piece[:left] if breaks else piece)
            await writer.drain()
            left -= len(piece)
            if not breaks:
                continue
            await asyncio.sleep(LONGEST_STALL * chance.random())
            if fate == "half":
                break
            if fate == "stall":
                writer.write(piece[left + len(piece) :])
                fate = ""
                continue
            for line in lines:
                if fate == "rst":
                    end_by_reset(line)
                line.close()
            return
        # This way is over; the other may still have something to say.
        with contextlib.suppress(OSError):
            writer.write_eof()


async def _serve(port: int, to: int, seed: int, rate: float) -> None:
    proxy = Proxy(to, seed, rate)
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGUSR1, lambda: setattr(proxy, "rate", 0.0)
    )
    server = await asyncio.start_server(proxy.carry, "127.0.0.1", port, backlog=256)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.0)
    given = parser.parse_args()
    asyncio.run(_serve(given.port, given.to, given.seed, given.rate))


if __name__ == "__main__":
    main()
