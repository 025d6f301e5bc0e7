"""Variables of the environment, read one by one, with all that is wrong said at once."""

import ssl
import stat
from pathlib import Path


class Reader:
    """Reads variables and gathers what is wrong with them, so that all is said at once."""

    def __init__(self, given: dict[str, str]) -> None:
        self.given = given
        self.problems: list[str] = []

    def add_file(self, path: Path) -> None:
        if not path.exists():
            return
        self.refuse_shared(path, path.name)
        for line in path.read_text().splitlines():
            name, found, value = line.partition("=")
            if found:
                self.given.setdefault(name.strip(), value.strip())

    def refuse_shared(self, path: Path, setting: str) -> None:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            self.problems.append(f"{setting}: {path.name} can be read by others; chmod 600 it")

    def text(self, name: str, default: str = "") -> str:
        """The variable, or the content of the file that ``…_FILE`` names."""
        path = self.given.get(f"LEADCAPTURE_{name}_FILE")
        if path is None:
            return self.given.get(f"LEADCAPTURE_{name}", default).strip()
        try:
            self.refuse_shared(Path(path), f"LEADCAPTURE_{name}_FILE")
            return Path(path).read_text().strip()
        except OSError as error:
            self.wrong(f"{name}_FILE", f"cannot be read ({error.strerror})")
        except UnicodeDecodeError:
            self.wrong(f"{name}_FILE", "must be a file of text")
        return default

    def is_given(self, name: str) -> bool:
        return not {f"LEADCAPTURE_{name}", f"LEADCAPTURE_{name}_FILE"}.isdisjoint(self.given)

    def wrong(self, name: str, why: str) -> None:
        self.problems.append(f"LEADCAPTURE_{name}: {why}")

    def number(self, name: str, default: int, low: int, high: int) -> int:
        value = self.text(name, str(default))
        if value.isascii() and value.isdigit() and low <= int(value) <= high:
            return int(value)
        self.wrong(name, f"must be a whole number from {low} to {high}")
        return default

    def certificates(self, name: str) -> str:
        """The path of a file of certificates to trust, or empty."""
        path = self.text(name)
        if not path:
            return ""
        trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            # A folder, too, would be told as no certificate.
            Path(path).open("rb").close()
            trusted.load_verify_locations(cafile=path)
        except ssl.SSLError:
            pass
        except OSError as error:
            self.wrong(name, f"cannot be read ({error.strerror})")
            return path
        if not trusted.cert_store_stats()["x509"]:
            self.wrong(name, "must hold a certificate to trust, in PEM")
        return path

    def limits(self, name: str, default: str) -> str:
        """How often one visitor may do a thing, such as ``10 per minute; 60 per hour``."""
        value = self.text(name, default)
        if value == default:
            return value
        # Here, since it takes as long to load as much of ours, and few set a limit.
        from limits import parse_many

        try:
            is_open = all(limit.amount for limit in parse_many(value))
        except ValueError:
            is_open = False
        if not is_open:
            self.wrong(name, f"must be limits of one or more each, such as {default}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, "yes" if default else "no").lower()
        if value in ("yes", "true", "1", "on"):
            return True
        if value not in ("no", "false", "0", "off"):
            self.wrong(name, "must be yes or no")
        return False
