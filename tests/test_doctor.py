"""`leadcapture doctor`: each fault planted once, each named with what to mend."""

import base64
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from leadcapture import migrate
from leadcapture.backup import take_backup
from leadcapture.database import database_now, open_engine
from leadcapture.doctor import examine, machine, mailbox, make_resolver, relay, sender, stored
from leadcapture.doctor.finding import Finding, Verdict
from leadcapture.models import Heartbeat, NoticeKind, NoticeSender
from leadcapture.outbox import instance
from leadcapture.outbox.queue import new_ref
from leadcapture.settings import Dkim, Imap, Relay, Settings
from tests.certificates import make_certificate
from tests.clock import TUESDAY_MORNING
from tests.configured import make_settings
from tests.name_server import NameServer, open_name_server
from tests.post_office import PostOffice, open_post_office
from tests.served import free_port, service_environ

NOW = TUESDAY_MORNING
RELAY = "relay.clinic.example"
RELAY_ADDRESS = "93.184.216.34"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
DKIM = Dkim("clinic.example", "spring", KEY)


def found(findings: list[Finding], check: str) -> Finding:
    return next(finding for finding in findings if finding.check == check)


def public_half(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(raw).decode()


@pytest.fixture
def database_url(syncing: None, database_url: str) -> str:
    """On a server that syncs: the examination asks for that."""
    del syncing
    return database_url


@pytest.fixture
def names() -> Iterator[NameServer]:
    """The DNS of a clinic whose mail is set up as it should be."""
    with open_name_server() as server:
        server.add(RELAY, "A", RELAY_ADDRESS)
        server.add("34.216.184.93.in-addr.arpa", "PTR", f"{RELAY}.")
        server.add("clinic.example", "MX", "10 mx.clinic.example.")
        server.add(
            "clinic.example", "TXT", '"unrelated"', '"v=spf1 include:_spf.relay.example -all"'
        )
        server.add("_spf.relay.example", "TXT", '"v=spf1 ip4:93.184.216.0/24 ~all"')
        server.add("_dmarc.clinic.example", "TXT", '"v=DMARC1; p=reject"')
        key = f'"v=DKIM1; k=ed25519; p={public_half(KEY)}"'
        server.add("spring._domainkey.clinic.example", "TXT", key)
        yield server


@pytest.fixture
def clinic(settings: Settings) -> Settings:
    """The settings of that clinic."""
    there = Relay(RELAY, 587, "starttls")
    return dataclasses.replace(settings, relay=there, dkim=DKIM)


_ASK_SILENCE = """
import sys, time
from pathlib import Path
from leadcapture.doctor import sender
from leadcapture.settings import Dkim
from tests.configured import make_settings
from tests.name_server import NameServer
import dataclasses
from leadcapture.settings import Relay
from tests.test_doctor import DKIM, RELAY
settings = dataclasses.replace(
    make_settings(Path("."), "sqlite:///none"), relay=Relay(RELAY, 587, "starttls"), dkim=DKIM
)
began = time.monotonic()
findings = sender.examine(settings, NameServer(port=int(sys.argv[1])).resolver())
print(*(finding.verdict.value for finding in findings), time.monotonic() - began)
"""


class TestSender:
    """SPF, DKIM, DMARC, MX and reverse DNS, asked of a real name server."""

    @pytest.fixture
    def database_url(self, tmp_path: Path) -> str:
        """No database is looked at here."""
        return f"sqlite:///{tmp_path / 'none.sqlite3'}"

    def test_a_domain_in_order_needs_nothing(self, clinic: Settings, names: NameServer) -> None:
        findings = sender.examine(clinic, names.resolver())
        assert [finding.verdict for finding in findings] == [Verdict.OK] * 5, findings
        assert not any(finding.mend for finding in findings)

    @pytest.mark.parametrize(
        ("records", "verdict", "words"),
        [
            ([], Verdict.FAULT, "has none"),
            (["v=spf1 -all", "v=spf1 ~all"], Verdict.FAULT, "2 SPF records"),
            (["v=spf1 +all"], Verdict.FAULT, "whole world"),
            (["v=spf1 ip4:192.0.2.1 -all"], Verdict.ATTENTION, "does not name the relay (fail)"),
            (["v=spf1 ip4:nonsense -all"], Verdict.FAULT, "no network"),
            (["v=spf1 include:gone.example -all"], Verdict.FAULT, "no SPF record"),
            (["v=spf1 include:clinic.example -all"], Verdict.FAULT, "more than 10 look-ups"),
            (["v=spf1 frobnicate -all"], Verdict.FAULT, "unknown word"),
            (["v=spf1 a:relay.clinic.example -all"], Verdict.OK, "lets the relay send"),
            (["v=spf1 mx/24 -all"], Verdict.OK, "lets the relay send"),
            (["v=spf1 redirect=_spf.relay.example"], Verdict.OK, "lets the relay send"),
        ],
    )
    def test_spf(
        self,
        clinic: Settings,
        names: NameServer,
        records: list[str],
        verdict: Verdict,
        words: str,
    ) -> None:
        names.add("clinic.example", "TXT", *(f'"{record}"' for record in records))
        names.add("mx.clinic.example", "A", "93.184.216.9")
        finding = sender.check_spf(clinic, names.resolver())
        assert (finding.verdict, words in finding.found) == (verdict, True), finding
        assert bool(finding.mend) == (verdict is not Verdict.OK)

    def test_dkim_says_when_the_published_key_is_another(
        self, clinic: Settings, names: NameServer
    ) -> None:
        name = "spring._domainkey.clinic.example"
        other = public_half(Ed25519PrivateKey.generate())
        for records, words in (
            ([f'"v=DKIM1; k=ed25519; p={other}"'], "not the one that signs"),
            (['"v=DKIM1; p="'], "revoked"),
            ([], "no key"),
        ):
            names.add(name, "TXT", *records)
            finding = sender.check_dkim(DKIM, names.resolver())
            assert finding.verdict is Verdict.FAULT and words in finding.found
            assert public_half(KEY) in finding.mend
        assert sender.check_dkim(None, names.resolver()).verdict is Verdict.ATTENTION

    def test_an_rsa_key_in_several_strings_is_read(self, names: NameServer) -> None:
        key = generate_private_key(65537, 2048)
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        shown = base64.b64encode(der).decode()
        record = f'"v=DKIM1; k=rsa; p={shown[:200]}" "{shown[200:]}"'
        names.add("old._domainkey.clinic.example", "TXT", record)
        finding = sender.check_dkim(Dkim("clinic.example", "old", key), names.resolver())
        assert finding.verdict is Verdict.OK

    @pytest.mark.parametrize(
        ("record", "changes", "verdict", "words"),
        [
            ("", {}, Verdict.FAULT, "has no policy"),
            ("v=DMARC1; p=none", {}, Verdict.ATTENTION, "only watches"),
            (
                "v=DMARC1; p=reject; adkim=s",
                {"bounce_address": "b@other.example", "dkim": Dkim("m.clinic.example", "s", KEY)},
                Verdict.FAULT,
                "neither SPF nor DKIM",
            ),
            (
                "v=DMARC1; p=reject",
                {"bounce_address": "b@other.example", "dkim": Dkim("m.clinic.example", "s", KEY)},
                Verdict.OK,
                "aligned",
            ),
        ],
    )
    def test_dmarc(
        self,
        clinic: Settings,
        names: NameServer,
        record: str,
        changes: dict[str, object],
        verdict: Verdict,
        words: str,
    ) -> None:
        names.add("_dmarc.clinic.example", "TXT", *([f'"{record}"'] if record else []))
        changed = dataclasses.replace(clinic, **changes)  # type: ignore[arg-type]
        finding = sender.check_dmarc(changed, names.resolver())
        assert (finding.verdict, words in finding.found) == (verdict, True), finding

    def test_a_subdomain_goes_by_the_policy_above_it(
        self, clinic: Settings, names: NameServer
    ) -> None:
        below = dataclasses.replace(clinic, mail_from="hello@news.clinic.example")
        assert sender.check_dmarc(below, names.resolver()).verdict is Verdict.OK

    def test_a_domain_that_takes_no_mail_is_named(
        self, clinic: Settings, names: NameServer
    ) -> None:
        names.add("clinic.example", "MX", "0 .")
        assert "takes no mail" in sender.check_mx(clinic, names.resolver()).found
        names.remove("clinic.example", "MX")
        assert sender.check_mx(clinic, names.resolver()).verdict is Verdict.FAULT
        names.add("clinic.example", "A", "93.184.216.9")
        assert sender.check_mx(clinic, names.resolver()).verdict is Verdict.OK

    def test_an_address_without_a_name_is_told(self, clinic: Settings, names: NameServer) -> None:
        names.add("34.216.184.93.in-addr.arpa", "PTR", "elsewhere.example.")
        finding = sender.check_reverse(clinic, names.resolver())
        assert finding.verdict is Verdict.ATTENTION and RELAY_ADDRESS in finding.found

    def test_a_silent_dns_is_no_fault_of_the_domain_and_ends_soon(
        self, clinic: Settings, names: NameServer
    ) -> None:
        """In a process of its own: a resolver sleeps between its tries."""
        names.silent |= {name for name, _ in names.records}
        done = subprocess.run(
            [sys.executable, "-c", _ASK_SILENCE, str(names.port)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        *verdicts, took = done.stdout.split()
        assert set(verdicts) == {"attention"} and float(took) < 10, done.stdout
        assert make_resolver().lifetime <= 5


class TestRelay:
    """The relay, with the real post office."""

    @pytest.fixture
    def database_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'none.sqlite3'}"

    def test_all_is_well_and_no_letter_was_sent(
        self, settings: Settings, office: PostOffice
    ) -> None:
        finding = found(relay.examine(settings, NOW), "relay")
        assert finding.verdict is Verdict.OK and "8bitmime" in finding.found
        assert [phase for phase, _ in office.heard] == ["ehlo", "mail", "rset", "quit"]
        assert office.letters == []

    def test_tls_sign_in_and_the_days_left(self, settings: Settings, tmp_path: Path) -> None:
        certificate = make_certificate(tmp_path, "localhost", timedelta(days=5))
        with open_post_office(certificate.context, {"clinic": "pw-canary"}) as office:
            there = Relay(
                "localhost", office.port, "starttls", "clinic", "pw-canary", str(certificate.path)
            )
            now = NOW.now(NOW.tzinfo)
            findings = relay.examine(dataclasses.replace(settings, relay=there), now)
            assert found(findings, "relay").verdict is Verdict.OK, findings
            assert found(findings, "relay sign-in").verdict is Verdict.OK
            assert found(findings, "relay certificate").verdict is Verdict.ATTENTION
            wrong = dataclasses.replace(there, password="pw-wrong")
            told = found(relay.examine(dataclasses.replace(settings, relay=wrong), now), "relay")
            assert told.verdict is Verdict.FAULT and "failed at auth: 5" in told.found
            assert "pw-" not in f"{told}"

    def test_a_bad_certificate_and_a_stripped_starttls_are_faults(
        self, settings: Settings, tmp_path: Path, office: PostOffice
    ) -> None:
        """MD-18."""
        expired = make_certificate(tmp_path, "localhost", timedelta(days=-1))
        with open_post_office(expired.context) as shown:
            there = Relay("localhost", shown.port, "starttls", ca_file=str(expired.path))
            told = found(relay.examine(dataclasses.replace(settings, relay=there), NOW), "relay")
            assert told.verdict is Verdict.FAULT and "expired" in told.found
        there = Relay("localhost", office.port, "starttls")
        told = found(relay.examine(dataclasses.replace(settings, relay=there), NOW), "relay")
        assert told.verdict is Verdict.FAULT and "starttls: not offered" in told.found

    def test_who_does_not_answer_or_refuses_our_sender_is_named(
        self, settings: Settings, office: PostOffice
    ) -> None:
        office.at("mail").refuse("5.7.1", times=1)
        told = found(relay.examine(settings, NOW), "relay")
        assert told.verdict is Verdict.FAULT and "mail: 550" in told.found
        office.at("ehlo").stall(30, times=2)
        began = time.monotonic()
        told = found(relay.examine(settings, NOW), "relay")
        assert told.verdict is Verdict.FAULT and "no answer in time" in told.found
        assert time.monotonic() - began < 20
        office.stop()
        told = found(relay.examine(settings, NOW), "relay")
        assert told.verdict is Verdict.FAULT and "connect" in told.found

    def test_a_relay_whose_clock_is_wrong_is_named(
        self, settings: Settings, office: PostOffice
    ) -> None:
        greeting = "post.test ESMTP; Tue, 03 Mar 2020 15:00:00 +0000"
        office.at("connect").reply(220, text=greeting)
        assert found(relay.examine(settings, NOW), "relay clock").verdict is Verdict.ATTENTION

    def test_a_mailbox_that_is_away_is_a_fault_and_none_asks_for_attention(
        self, settings: Settings
    ) -> None:
        away = Imap("127.0.0.1", free_port(), "clinic", "pw-canary", "none")
        told = found(mailbox.examine(dataclasses.replace(settings, imap=away)), "mailbox")
        assert told.verdict is Verdict.FAULT and "pw-canary" not in f"{told}"
        assert found(mailbox.examine(settings), "mailbox").verdict is Verdict.ATTENTION


def test_a_service_in_order_is_found_in_order(
    settings: Settings, session: Session, names: NameServer
) -> None:
    session.merge(Heartbeat(job="dispatch-1", at=database_now(session), ok=True))
    session.commit()
    now = NOW.now(NOW.tzinfo)
    take_backup_of = settings.database_url.startswith("sqlite")
    if take_backup_of:
        take_backup(settings, now)
    findings = stored.examine(settings, now) + machine.examine(settings, now)
    wrong = [finding for finding in findings if finding.verdict is not Verdict.OK]
    allowed = {"backup"} if not take_backup_of else set()
    # Disks of test machines may be full.
    assert {finding.check for finding in wrong} <= allowed | {"disk"}, wrong


def test_a_database_that_is_away_or_empty_is_named(
    settings: Settings, empty_database_url: str, tmp_path: Path
) -> None:
    empty = dataclasses.replace(settings, database_url=empty_database_url)
    told = found(stored.examine(empty, NOW), "database")
    assert told.verdict is Verdict.FAULT and "migrate" in told.mend
    nowhere = (
        f"sqlite:///{tmp_path}/nowhere/x.sqlite3"
        if settings.database_url.startswith("sqlite")
        else f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/x"
    )
    away = dataclasses.replace(settings, database_url=nowhere)
    assert found(stored.examine(away, NOW), "database").verdict is Verdict.FAULT


def execute(settings: Settings, statement: str) -> None:
    """Change the schema behind the service's back."""
    engine = open_engine(settings.database_url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_a_missing_migration_is_named(settings: Settings) -> None:
    execute(settings, "DROP INDEX ix_message_cap_created")
    told = found(stored.examine(settings, NOW), "migrations")
    assert told.verdict is Verdict.FAULT and "leadcapture migrate" in told.mend


def test_a_schema_of_a_later_release_is_named(settings: Settings) -> None:
    """DD-12: the release before runs on it, and says that it is not its own."""
    execute(settings, "UPDATE alembic_version SET version_num = '9999'")
    told = found(stored.examine(settings, NOW), "migrations")
    assert told.verdict is Verdict.ATTENTION and "later release" in told.found


def test_the_libraries_say_nothing_of_their_own(
    settings: Settings, recwarn: pytest.WarningsRecorder
) -> None:
    """An operator reads what is amiss, and no line about indexes that SQLite cannot show."""
    assert list(stored.examine(settings, NOW))
    assert [str(warning.message) for warning in recwarn] == []


def test_a_silent_or_failing_scheduler_is_named(settings: Settings, session: Session) -> None:
    """OP-01."""
    assert found(stored.examine(settings, NOW), "scheduler").verdict is Verdict.FAULT
    long_ago = database_now(session) - timedelta(minutes=5)
    session.merge(Heartbeat(job="upkeep", at=long_ago, ok=True))
    session.commit()
    assert "silent for" in found(stored.examine(settings, NOW), "scheduler").found
    session.merge(
        Heartbeat(job="upkeep", at=database_now(session), ok=False, error="OperationalError")
    )
    session.commit()
    told = found(stored.examine(settings, NOW), "scheduler")
    assert told.verdict is Verdict.FAULT and "upkeep (OperationalError)" in told.found


def test_a_copy_is_named(settings: Settings, session: Session) -> None:
    """MD-24."""
    instance.disown(session, NOW)
    session.commit()
    told = found(stored.examine(settings, NOW), "instance")
    assert told.verdict is Verdict.FAULT and "release-outbox" in told.mend


def test_services_that_are_believed_by_their_address_alone_are_named(
    settings: Settings, session: Session
) -> None:
    mailbox_of = Imap("127.0.0.1", 143, "clinic", "pw-canary", "none")
    alone = dataclasses.replace(settings, imap=mailbox_of)
    server = dataclasses.replace(mailbox_of, authserv_id="mx.example.com")
    named = dataclasses.replace(settings, imap=server)
    assert not [told for told in stored.examine(alone, NOW) if told.check == "calling services"]
    facts = {"name": "Calls", "address": "@calls.example", "kind": NoticeKind.CALL}
    session.add(NoticeSender(ref=new_ref(), language="en", **facts))
    session.commit()
    told = found(stored.examine(alone, NOW), "calling services")
    assert told.verdict is Verdict.ATTENTION and "IMAP_AUTHSERV_ID" in told.mend
    assert found(stored.examine(named, NOW), "calling services").verdict is Verdict.OK


def test_what_was_just_made_in_an_open_folder_is_in_order(tmp_path: Path) -> None:
    """OP-03: the folder was there before us."""
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    made = make_settings(folder, f"sqlite:///{folder / 'made.sqlite3'}")
    migrate.upgrade(made)
    told = found(machine.examine(made, NOW), "file modes")
    assert told.verdict is Verdict.OK, told


def test_files_that_others_can_read_are_named(settings: Settings) -> None:
    """OP-03."""
    secrets = settings.data_dir / "secrets.env"
    secrets.write_text("x")
    secrets.chmod(0o644)
    told = found(machine.examine(settings, NOW), "file modes")
    assert told.verdict is Verdict.FAULT and "secrets.env" in told.found


def test_a_backup_that_is_late_or_lost_is_named(settings: Settings) -> None:
    """DD-07."""
    mark = settings.data_dir / "backup-at"
    for age, verdict in ((1, Verdict.OK), (60, Verdict.ATTENTION), (3000, Verdict.FAULT)):
        mark.write_text((NOW - timedelta(minutes=age)).isoformat())
        assert found(machine.examine(settings, NOW), "backup").verdict is verdict
    mark.write_text("yesterday")
    assert found(machine.examine(settings, NOW), "backup").verdict is Verdict.ATTENTION


def test_a_log_that_settles_no_doubt_is_named(tmp_path: Path) -> None:
    """MD-25: absent, of something else, and as a Postfix writes it."""
    log = tmp_path / "mail.log"
    verdicts = []
    for words in (None, "systemd[1]: started\n", "mail postfix/qmgr[77]: 4Zq: removed\n"):
        if words is not None:
            log.write_text(words)
        verdicts.append(found(relay.check_log(log), "relay log").verdict)
    assert verdicts == [Verdict.FAULT, Verdict.ATTENTION, Verdict.OK]
    assert relay.check_log(None) == []


def test_a_server_that_does_not_sync_is_named(engine: Engine, settings: Settings) -> None:
    """DD-02: a commit of ours that may be lost, whoever switched it off."""
    assert found(stored.examine(settings, NOW), "durability").verdict is Verdict.OK
    if engine.dialect.name == "sqlite":
        return
    name = engine.url.database
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    told = found(stored.examine(settings, NOW), "durability")
    assert told.verdict is Verdict.FAULT and told.found == "synchronous_commit=off"


def test_this_interpreter_passes_the_self_test() -> None:
    """MD-19, WS-17."""
    assert machine.check_interpreter().verdict is Verdict.OK


def test_the_whole_examination_is_bounded_and_in_order(clinic: Settings, names: NameServer) -> None:
    """Nothing out there is well: it still ends within 30 seconds and says so."""
    names.broken = True
    there = dataclasses.replace(clinic, relay=Relay("127.0.0.1", free_port(), "none"))
    began = time.monotonic()
    findings = examine(there, NOW, names.resolver())
    assert time.monotonic() - began < 30
    checks = [finding.check for finding in findings]
    assert checks[0] == "settings" and checks.index("relay") < checks.index("SPF")


def test_the_command_prints_lines_or_json_and_fails_on_a_fault(
    database_url: str, tmp_path: Path, office: PostOffice
) -> None:
    environ = service_environ(
        tmp_path,
        database_url,
        port=8000,
        smtp_port=office.port,
        MAILBOX_DIR=str(tmp_path / "mailbox"),
    )

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "leadcapture", "doctor", *words],
            env=environ | more,
            capture_output=True,
            text=True,
            timeout=60,
        )

    plain = run()
    assert plain.returncode == 1, plain.stdout + plain.stderr
    assert "fault      scheduler: it has never run" in plain.stdout
    listed = json.loads(run("--json").stdout)
    assert {"check", "verdict", "found", "mend"} == set(listed[0])
    broken = run("--json", LEADCAPTURE_SECRET_KEY="short", LEADCAPTURE_HASH_KEY="x")
    assert broken.returncode == 1
    assert [finding["check"] for finding in json.loads(broken.stdout)] == ["settings"] * 2
