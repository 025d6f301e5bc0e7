"""An SMTP server on loopback that files every letter; `leadcapture up` runs it without a relay."""

import os
import time
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


class _Files:
    """Files each letter as it came, under a name that sorts by time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        name = f"{time.time_ns():020d}-{os.urandom(4).hex()}.eml"
        path = self._folder / name
        partial = path.with_suffix(".part")
        partial.write_bytes(envelope.content or b"")  # type: ignore[arg-type]
        partial.replace(path)
        return "250 2.0.0 filed"


def start(folder: Path, port: int) -> Controller:
    """Start the server in a thread of this process; listening on ``port``."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    controller = Controller(
        _Files(folder), hostname="127.0.0.1", port=port, data_size_limit=32 * 1024 * 1024
    )
    controller.start()
    return controller
