"""The clinic's own words on the public pages; ours where the database cannot be asked."""

from sqlalchemy.exc import SQLAlchemyError

from leadcapture.database import db, open_session, reading
from leadcapture.errors import log_failure
from leadcapture.letters import form_texts
from leadcapture.web import now, settings


def current_words(language: str) -> form_texts.Words:
    """What visitors read in this language now. A page must be there even when nothing else is."""
    clinic = settings().clinic
    try:
        # A session of its own: that of a form that could not be saved is of no use any more.
        with reading(), open_session(db.engine) as session:
            return form_texts.current(session, language, clinic, now())
    except SQLAlchemyError as failure:
        log_failure(failure)
        return form_texts.words_of(form_texts.SHIPPED[language], clinic)
