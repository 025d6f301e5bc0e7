"""Reading the mailbox: each mail is taken in, committed, and only then filed."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, Engine, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from leadcapture.database import database_now, open_session
from leadcapture.intake.inbound.imap import FILED, SET_ASIDE, Arrived, Mailbox, open_mailbox
from leadcapture.intake.inbound.mail import Mail, Unreadable, read_mail
from leadcapture.intake.inbound.taking import NotYet, take_in
from leadcapture.models import InboundKind, InboundMail
from leadcapture.settings import Imap, Settings
from leadcapture.vault import Vault

log = logging.getLogger(__name__)

AT_ONCE = 500
# Servers copy a mail that two sessions move at once: whoever put it on record moves it.
FILED_WITHIN = timedelta(minutes=2)


def read_mailbox(
    engine: Engine,
    settings: Settings,
    vault: Vault,
    imap: Imap,
    clock: Callable[[], datetime] | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Take in and file what lies in the mailbox; how many mails were filed.

    Any number of processes may do so at once. A kill between commit and move leaves a mail
    that is fetched again, found on record, and filed two minutes later. One that cannot be
    read is set aside and keeps no other waiting. Raises ``MailboxOut``, and what the database
    raises.
    """
    filed = 0
    with open_mailbox(imap) as mailbox:
        for uid in mailbox.uids(AT_ONCE):
            if stopping():
                break
            arrived = mailbox.fetch(uid)
            if arrived is not None:
                filed += _file(engine, settings, vault, mailbox, arrived, clock)
    return filed


def _file(
    engine: Engine,
    settings: Settings,
    vault: Vault,
    mailbox: Mailbox,
    arrived: Arrived,
    clock: Callable[[], datetime] | None,
) -> bool:
    mail = _read(arrived)
    try:
        folder = _take_in(engine, settings, vault, arrived, mail, clock)
    except NotYet:
        return False
    except DBAPIError:
        raise
    except Exception as error:
        # Its words may hold a patient's; its class is enough to find it.
        log.error("a mail cannot be taken in: %s", type(error).__name__)
        folder = _take_in(engine, settings, vault, arrived, None, clock)
    if folder is not None:
        mailbox.move(arrived.uid, folder)
    return folder is not None


def _read(arrived: Arrived) -> Mail | None:
    try:
        return read_mail(arrived.content)
    except Unreadable:
        return None


def _take_in(
    engine: Engine,
    settings: Settings,
    vault: Vault,
    arrived: Arrived,
    mail: Mail | None,
    clock: Callable[[], datetime] | None,
) -> str | None:
    """Take the mail in and commit; the folder it goes to, None where another worker files it."""
    with open_session(engine) as session:
        now = clock() if clock else database_now(session)
        received_at = min(arrived.received_at, now)
        record, is_new = take_in(session, vault, settings, arrived.content, mail, received_at, now)
        is_ours = is_new or _claim(session, record, now)
        session.commit()
    if not is_ours:
        return None
    return SET_ASIDE if record.kind is InboundKind.UNREADABLE else FILED


def _claim(session: Session, record: InboundMail, now: datetime) -> bool:
    """True where this worker shall file a mail that another had put on record, and died."""
    if now - record.fetched_at < FILED_WITHIN:
        return False
    claimed = session.execute(
        update(InboundMail)
        .where(InboundMail.id == record.id, InboundMail.fetched_at == record.fetched_at)
        .values(fetched_at=now)
        .execution_options(synchronize_session=False)
    )
    return cast(CursorResult[Any], claimed).rowcount == 1
