"""More bugs that are planted on purpose: in what looks at the disk and at the relay's log."""

from tests.proofs.planted_bugs import Bug

PAGES, LOG = "tests/test_integrity.py::", "tests/test_relay_log.py::"

LOOKS = (
    Bug(
        "the look at the pages opens no long value",
        "leadcapture/integrity.py",
        "SELECT count(md5(t::text)) FROM {table} t",
        "SELECT count(*) FROM {table} t",
        (f"{PAGES}test_a_flipped_page_of_a_server_is_found",),
    ),
    Bug(
        "damage that a question meets waits for the next look",
        "leadcapture/integrity.py",
        '    event.listen(engine, "handle_error", look)\n',
        "",
        (f"{PAGES}test_what_a_question_meets_is_remembered_at_once",),
    ),
    Bug(
        "a log that was moved is left at once",
        "leadcapture/outbox/relay_log.py",
        "        if not self._was_moved:\n",
        "        if self._was_moved is None:\n",
        (f"{LOG}test_what_is_still_written_to_the_old_file_is_read",),
    ),
    Bug(
        "a start forgets the log before",
        "leadcapture/outbox/relay_log.py",
        "            if missing > 0 and (before",
        "            if missing < 0 and (before",
        (f"{LOG}test_a_start_right_after_a_rotation_looks_back",),
    ),
    Bug(
        "the Message-ID alone settles a doubt",
        "leadcapture/outbox/relay_log.py",
        "elif queue_id in self._coming and (_QUEUED.match(said) or _STATUS.search(said)):",
        "elif queue_id in self._coming:",
        (f"{LOG}test_of_a_hundred_doubts_those_that_the_log_shows_are_settled",),
    ),
)
