"""A name server of the tests' own: a real DNS conversation over UDP on loopback."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset


@dataclass
class NameServer:
    """Answers from ``records``: (name, type) to the records' texts; no other name exists.

    Names in ``silent`` get no answer at all, all names SERVFAIL where it is ``broken``.
    """

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    broken: bool = False
    port: int = 0

    def add(self, name: str, kind: str, *texts: str) -> None:
        self.records[name, kind] = list(texts)

    def remove(self, name: str, kind: str) -> None:
        del self.records[name, kind]

    def resolver(self) -> dns.resolver.Resolver:
        """A resolver that asks this server alone, and gives up soon."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self.port
        resolver.timeout = resolver.lifetime = 1.0
        return resolver

    def serve(self, door: socket.socket) -> None:
        while True:
            try:
                wire, caller = door.recvfrom(4096)
            except OSError:
                return
            with contextlib.suppress(dns.exception.DNSException, OSError):
                answer = self._answer(dns.message.from_wire(wire))
                if answer is not None:
                    door.sendto(answer.to_wire(), caller)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        if name in self.silent:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
            return answer
        if not any(known == name for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        texts = self.records.get((name, dns.rdatatype.to_text(question.rdtype)))
        if texts:
            answer.answer.append(
                dns.rrset.from_text_list(question.name, 60, "IN", question.rdtype, texts)
            )
        return answer


@contextmanager
def open_name_server() -> Iterator[NameServer]:
    """A name server for the length of a ``with``."""
    server = NameServer()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        server.port = door.getsockname()[1]
        thread = threading.Thread(target=server.serve, args=(door,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()
            thread.join(2)
