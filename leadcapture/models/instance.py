"""An instance: the name of the one installation that may send this database's mail."""

from datetime import datetime

from sqlalchemy import SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from leadcapture.database import Instant, Model

ONLY = 1


class Instance(Model):
    """The only row says who this database is and how far it has come.

    ``mark`` grows every few seconds by the hand of a machine whose data folder knows the
    name; 0 means that a person has just released the outbox and no machine has taken the
    name yet. A copy has another machine's name or a mark that lies behind the folder's.
    """

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(32))
    mark: Mapped[int]
    since: Mapped[datetime] = mapped_column(Instant)
