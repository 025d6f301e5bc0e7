"""Parts of the distribution that tests need: found, or installed where that is allowed."""

import functools
import os
import shutil
import subprocess

# Servers of the distribution stand where an ordinary user's PATH does not look.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"])


def find_part(package: str, *names: str) -> str:
    """The path of the first program of these names; its Debian package is installed if need be.

    Raises RuntimeError with the command to type where we may not install.
    """
    found = _find(names)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(package)
        found = _find(names)
    if found is None:
        raise RuntimeError(f"No {names[0]} here. Debian: apt-get install {package}")
    return found


def _find(names: tuple[str, ...]) -> str | None:
    return next((path for name in names if (path := shutil.which(name, path=_PATH))), None)


def _install(package: str) -> None:
    _update()
    # No service of the package is to start: tests run their own, on ports of their own.
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    command = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", package]
    subprocess.run(command, env=environ, check=True, timeout=600, stdout=subprocess.DEVNULL)


@functools.cache
def _update() -> None:
    subprocess.run(["apt-get", "-qq", "update"], check=True, timeout=600)
