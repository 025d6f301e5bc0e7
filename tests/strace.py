"""strace on running processes: which system calls they make, as the kernel sees them."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.parts import find_part
from tests.waiting import until


@contextmanager
def traced(pids: Sequence[int], log: Path, *options: str) -> Iterator[Path]:
    """Within, the calls of these processes and of all their threads are written to ``log``.

    Raises RuntimeError where we may not trace them.
    """
    command = [find_part("strace", "strace"), "-f", "-qq", "-s", "64", "-o", str(log), *options]
    for pid in pids:
        command += ["-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        until(lambda: tracer.poll() is not None or _is_traced(pids), what="strace")
        if tracer.poll() is not None and tracer.stderr is not None:
            raise RuntimeError(f"no tracing here: {tracer.stderr.read().decode().strip()}")
        yield log
    finally:
        tracer.terminate()
        try:
            tracer.wait(5)
        except subprocess.TimeoutExpired:
            # It may wait for ever for one that was killed in its hands. Whoever lives is let go.
            tracer.kill()
            tracer.wait(5)
        if tracer.stderr is not None:
            tracer.stderr.close()


def _is_traced(pids: Sequence[int]) -> bool:
    """True where each thread of these has a tracer."""
    statuses = [path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/status")]
    return bool(statuses) and all("TracerPid:\t0\n" not in path.read_text() for path in statuses)
