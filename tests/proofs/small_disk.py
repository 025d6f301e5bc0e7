"""A real file system that is small, and that can be filled up and emptied.

Root mounts a tmpfs. Anybody else has one mounted in a user namespace, which a process of ours
holds open, and reaches it through that process.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096


@dataclass(frozen=True)
class SmallDisk:
    """``folder`` is its root. What it holds besides `fill`'s ballast is somebody else's."""

    folder: Path

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        told = os.statvfs(self.folder)
        return told.f_bavail * told.f_frsize

    def fill(self, leaving: int = 0) -> None:
        """Leave so many bytes free, in whole pages; whoever writes meanwhile gets less."""
        with self._ballast.open("ab") as ballast, contextlib.suppress(OSError):
            while (room := self.free - leaving) >= PAGE:
                ballast.write(b"\0" * min(room // PAGE * PAGE, 1 << 20))
                ballast.flush()

    def empty(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def a_small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk of this size, for the length of a ``with``."""
    size = f"size={megabytes}m,mode=755"
    if os.geteuid() == 0:
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
        try:
            yield SmallDisk(folder)
        finally:
            # Lazily: whoever still has a file open there keeps it until it ends.
            subprocess.run(["umount", "-l", folder], check=True)
        return
    script = f"mount -t tmpfs -o {size} tmpfs /mnt && echo ready && exec cat"
    with subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n", "no user namespace: run this proof as root"
        try:
            yield SmallDisk(Path("/proc", str(holder.pid), "root", "mnt"))
        finally:
            holder.kill()
