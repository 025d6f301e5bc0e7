"""A relay in this process that keeps the contract of `RelaySession.send` and does what it is told.

It is the oracle of proofs that need many thousand letters: what it took responsibility for is
in ``taken``. The real conversation is proven against the post office.
"""

from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from hashlib import sha256

from leadcapture.letters import Letter
from leadcapture.outbox.relay import Refused, RelaySession
from leadcapture.outbox.replies import Phase, Reply
from leadcapture.settings import Relay


@dataclass(frozen=True)
class Answer:
    """How one letter fares: the reply it meets, and whether the relay keeps it all the same."""

    reply: Reply
    takes: bool = False


TAKES = Answer(Reply(Phase.DOT, 250, "2.0.0"), takes=True)
ANSWERS = (
    TAKES,
    Answer(Reply(Phase.CONNECT)),
    Answer(Reply(Phase.CONNECT, 554, "5.7.1")),
    Answer(Reply(Phase.AUTH, 454, "4.7.0")),
    Answer(Reply(Phase.AUTH, 535, "5.7.8")),
    Answer(Reply(Phase.MAIL, 451, "4.3.0")),
    Answer(Reply(Phase.MAIL, 550, "5.7.1")),
    Answer(Reply(Phase.RCPT, 450, "4.2.0")),
    Answer(Reply(Phase.RCPT, 421, "4.7.0")),
    Answer(Reply(Phase.RCPT, 452, "4.2.2")),
    Answer(Reply(Phase.RCPT, 550, "5.1.1")),
    Answer(Reply(Phase.RCPT, 550, "5.7.1")),
    Answer(Reply(Phase.RCPT, 999)),
    Answer(Reply(Phase.DATA, 451, "4.3.0")),
    Answer(Reply(Phase.DATA, 554, "5.5.1")),
    Answer(Reply(Phase.BODY)),
    Answer(Reply(Phase.DOT), takes=True),
    Answer(Reply(Phase.DOT), takes=False),
    Answer(Reply(Phase.DOT, -1), takes=True),
    Answer(Reply(Phase.DOT, 503, "5.5.1"), takes=True),
    Answer(Reply(Phase.DOT, 451, "4.3.0")),
    Answer(Reply(Phase.DOT, 554, "5.6.0")),
)


@dataclass(frozen=True)
class Copy:
    """One copy that the relay took responsibility for; ``intended`` numbers its intent."""

    mail_id: str
    date: str
    sha256: str
    recipient: str
    header_to: str
    intended: int


class ScriptedRelay(RelaySession):
    """Does at each phase what ``answer`` says at that moment; ``before_dot`` is called there."""

    def __init__(
        self, taken: list[Copy], step: Callable[[], int], before_dot: Callable[[], None]
    ) -> None:
        super().__init__(Relay(host="127.0.0.1", port=9, security="none"), "clinic.example")
        self.answer = TAKES
        self._taken = taken
        self._step = step
        self._before_dot = before_dot

    def send(
        self,
        sender: str,
        recipient: str,
        letter: Letter | bytes,
        intent: Callable[[], bool],
        envid: str = "",
    ) -> bool:
        if self.answer.reply.phase is not Phase.DOT:
            raise Refused(self.answer.reply)
        if not intent():
            return False
        intended = self._step()
        self._before_dot()
        reply = self.answer.reply
        if reply.phase is not Phase.DOT:
            # It was told of an earlier phase too late: the line is lost instead.
            raise Refused(Reply(Phase.DOT))
        if self.answer.takes:
            self._taken.append(_copy(letter, recipient, intended))
        if reply.code != 250:
            raise Refused(reply)
        return True


def _copy(letter: Letter | bytes, recipient: str, intended: int) -> Copy:
    whole = bytes(letter)
    header = message_from_bytes(whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    return Copy(
        mail_id=header["Message-ID"],
        date=header["Date"],
        sha256=sha256(whole).hexdigest(),
        recipient=recipient,
        header_to=header["To"],
        intended=intended,
    )
