"""A wall clock that other processes go by, and that can be set while they run."""

import struct
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.parts import find_part

SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """One machine's clock: whoever was started in its `environ` is told the same time.

    ``folder`` must be open to the users of all these processes.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.clock"
        self._shim = folder / f"{name}.so"
        self.moved_by = timedelta(0)
        self._write()
        self._file.chmod(0o644)
        compiler = find_part("gcc", "cc", "gcc")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._shim), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, timeout=60)

    def environ(self, given: Mapping[str, str]) -> dict[str, str]:
        """The environment of a process that is to go by this clock."""
        return {**given, "LD_PRELOAD": str(self._shim), "MOVED_CLOCK": str(self._file)}

    def now(self) -> datetime:
        """What it shows, aware UTC."""
        return datetime.now(UTC) + self.moved_by

    def jump(self, by: timedelta) -> None:
        """Set it forward, or back, for all at once."""
        self.moved_by += by
        self._write()

    def _write(self) -> None:
        mode = "r+b" if self._file.exists() else "wb"
        # In place: whoever has the file mapped sees the new seconds at once.
        with self._file.open(mode) as file:
            file.write(struct.pack("q", int(self.moved_by.total_seconds())))
