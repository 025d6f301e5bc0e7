"""Email addresses as people type them."""

import socket
import threading
import time

import dns.message
import dns.rcode
import dns.resolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadcapture.intake import addresses
from leadcapture.intake.addresses import BadAddress, likely_meant, read_address


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        (" Ana@Example.COM ", "Ana@example.com"),
        ("mailto:ana@example.com", "ana@example.com"),
        ("ana@bücher.example", "ana@xn--bcher-kva.example"),
    ],
)
def test_an_address_is_normalised(typed: str, address: str) -> None:
    assert read_address(typed) == address


@pytest.mark.parametrize(
    "typed",
    [
        "ana",
        "ana@",
        "ana@localhost",
        "ana example@example.com",
        "ana@example.com, eva@example.com",
        "Ana <ana@example.com>",
        "ana@example.com\r\nBcc: evil@example.org",
        "=?utf-8?q?Bob=0ABcc:_evil@x.test?=",
        "<@relay.example:ana@example.com>",
        "a" * 300 + "@example.com",
        "ana@exam\x00ple.com",
        "\ud800@example.com",
    ],
)
def test_what_mail_cannot_carry_is_refused(typed: str) -> None:
    """MD-19."""
    with pytest.raises(BadAddress):
        read_address(typed)


@given(st.text(max_size=100))
def test_whatever_is_typed_is_an_address_or_refused(typed: str) -> None:
    """WS-12, MD-19."""
    try:
        address = read_address(typed)
    except BadAddress:
        return
    assert address.isascii()
    assert address.isprintable()
    assert " " not in address


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ana@gmial.com", "ana@gmail.com"),
        ("ana@gmai.com", "ana@gmail.com"),
        ("ana@gmaill.com", "ana@gmail.com"),
        ("ana@gnail.com", "ana@gmail.com"),
        ("ana@gmail.co", "ana@gmail.com"),
        ("ana@hotmial.com", "ana@hotmail.com"),
        ("ana@hotmail.con", "ana@hotmail.com"),
        ("ana@yaho.com", "ana@yahoo.com"),
        ("ana@outlok.com", "ana@outlook.com"),
    ],
)
def test_a_slip_in_a_usual_domain_is_noticed(typed: str, meant: str) -> None:
    assert likely_meant(typed) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "ana@gmail.com",
        "ana@example.com",
        "ana@mail.ru",
        "ana@email.com",
        "ana@hotmail.fr",
        "a@b.co",
    ],
)
def test_real_domains_raise_no_question(typed: str) -> None:
    assert likely_meant(typed) is None


def test_a_person_is_known_by_the_address_in_any_case_and_a_cap_counts_tags_as_one() -> None:
    """AB-01: case and +tag are spellings of one address; dots are not."""
    assert addresses.address_key("Ana+x@Example.com") == "ana+x@example.com"
    assert addresses.cap_key("Ana+x@Example.com") == addresses.cap_key("ana@example.com")
    assert addresses.cap_key("a.na@example.com") != addresses.cap_key("ana@example.com")
    assert addresses.cap_key("+x@example.com") == "+x@example.com"


@pytest.mark.parametrize(
    ("of_clinic", "of_others", "missing"),
    [
        (dns.rcode.NXDOMAIN, dns.rcode.NOERROR, True),
        (dns.rcode.NXDOMAIN, dns.rcode.NXDOMAIN, False),
        (dns.rcode.NOERROR, dns.rcode.NOERROR, False),
        (dns.rcode.SERVFAIL, dns.rcode.SERVFAIL, False),
    ],
)
def test_only_a_domain_that_certainly_does_not_exist_is_refused(
    of_clinic: dns.rcode.Rcode, of_others: dns.rcode.Rcode, missing: bool
) -> None:
    """A resolver that is broken or denies everything refuses nobody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = server.getsockname()[1]
        codes = {"clinic.example.": of_clinic}
        threading.Thread(target=_answer, args=(server, codes, of_others), daemon=True).start()
        started = time.monotonic()

        assert addresses.is_missing("clinic.example", resolver) is missing
        assert time.monotonic() - started < 3


def _answer(
    server: socket.socket,
    codes: dict[str, dns.rcode.Rcode],
    otherwise: dns.rcode.Rcode,
) -> None:
    for _ in range(2):
        try:
            asked, sender = server.recvfrom(4096)
        except OSError:
            return
        question = dns.message.from_wire(asked)
        reply = dns.message.make_response(question)
        reply.set_rcode(codes.get(str(question.question[0].name), otherwise))
        server.sendto(reply.to_wire(), sender)
