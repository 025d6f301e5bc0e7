"""Authentication: whether our own mail server confirms who sent a mail (RFC 8601).

A server that takes mail in checks its signatures, and writes above the mail what it found, in an
``Authentication-Results`` header that begins with the server's own name, its authserv-id. A sender
may write such a header too. So only the topmost counts, and only under our server's name. That
nobody else's header bears this name is our server's to see to: it has to remove those from all mail
that comes from outside (RFC 8601 §5), and to add one to each mail that it takes in.
"""

import re
from collections.abc import Iterator

_PAIR = re.compile(r'\s*([\w./-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s";]+)\s*', re.ASCII)
_METHOD = re.compile(r"(dkim|dmarc)(?:/1)?")


def confirms(results: str, authserv_id: str, domain: str) -> bool:
    """True where these results are of our server, and say that the mail came from this domain.

    ``results`` is the header's value on one line, ``domain`` From's, in lower case. Enough is
    DMARC, or a DKIM signature by the domain itself or one that it lies in.
    """
    server, *found = _clauses(results)
    # The version that there is may be left out (§2.2).
    if server.lower().split() not in ([authserv_id.lower()], [authserv_id.lower(), "1"]):
        return False
    return any(_passes(dict(_pairs(clause)), domain) for clause in found)


def _passes(said: dict[str, str], domain: str) -> bool:
    method = _METHOD.fullmatch(next(iter(said), ""))
    if method is None or said[method[0]] != "pass":
        return False
    if method[1] == "dmarc":
        return said.get("header.from", "").rpartition("@")[2] == domain
    signer = said.get("header.d") or said.get("header.i", "").rpartition("@")[2]
    return "." in signer and (domain == signer or domain.endswith(f".{signer}"))


def _pairs(clause: str) -> Iterator[tuple[str, str]]:
    """``method=result`` and each ``property=value`` after it; none where it reads otherwise."""
    found, at = [], 0
    while at < len(clause):
        pair = _PAIR.match(clause, at)
        if pair is None:
            return
        found.append((pair[1].lower(), pair[2].strip('"').lower()))
        at = pair.end()
    yield from found


def _clauses(results: str) -> list[str]:
    """What stands between the semicolons, without comments; of an unclosed one nothing."""
    clauses, depth, is_quoted = [""], 0, False
    signs = iter(results)
    for sign in signs:
        whole = sign + next(signs, "") if sign == "\\" else sign
        if sign == '"' and not depth:
            is_quoted = not is_quoted
        elif sign == "(" and not is_quoted:
            depth += 1
        elif sign == ")" and depth:
            depth -= 1
            whole = " "
        if sign == ";" and not depth and not is_quoted:
            clauses.append("")
        elif not depth:
            clauses[-1] += whole
    return [""] if depth or is_quoted else clauses
