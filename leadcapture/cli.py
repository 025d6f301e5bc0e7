"""The command `leadcapture`."""

import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leadcapture import up
from leadcapture.command import Commands, a_database, fail, loading
from leadcapture.settings import SECRETS_FILE, Settings, SettingsError, load

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

PORT = click.IntRange(1, 65535)
AT_LEAST_ONE = click.IntRange(min=1)


@click.group(cls=Commands)
@click.version_option(package_name="leadcapture")
def main() -> None:
    """Lead capture for a clinic: the form, the packet, the follow-ups, the dashboard."""
    # Libraries say what an address did at INFO; ours say what a reference did.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("leadcapture").setLevel(logging.INFO)


@main.command("up")
@click.option(
    "--port", type=PORT, default=8000, show_default=True, help="Where the web server listens."
)
def run_everything(port: int) -> None:
    """Run the whole service here, with embedded defaults for all that is not set."""
    with loading():
        from leadcapture import migrate
        from leadcapture.mailbox import server

    if not up.is_free(port):
        fail(f"Port {port} is taken. Choose another: leadcapture up --port {port + 80}")
    data_dir = Path(os.environ.get("LEADCAPTURE_DATA_DIR", "leadcapture-data")).absolute()
    up.make_secrets(data_dir)
    if not up.take_folder(data_dir):
        fail(f"Leadcapture runs from {data_dir} already. Stop it first, or use another folder.")
    environ = dict(os.environ) | {"LEADCAPTURE_DATA_DIR": str(data_dir)}
    environ |= up.embedded_defaults(environ, port)
    mailbox = None
    if not environ.get("LEADCAPTURE_SMTP_HOST"):
        mailbox = server.start(data_dir / "mailbox", up.free_port())
        environ |= up.mailbox_settings(data_dir, mailbox.port)
    settings = _settings(environ)
    up.remember_address(data_dir, settings.public_url)
    migrate.upgrade(settings)
    _welcome(settings, first=first_administrator(settings), data_dir=data_dir)
    status = up.Supervisor(environ, port).run()
    if mailbox is not None:
        mailbox.stop()
    sys.exit(status)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=PORT, default=8000, show_default=True)
@click.option("--workers", type=AT_LEAST_ONE, default=2, show_default=True)
@click.option("--threads", type=AT_LEAST_ONE, default=8, show_default=True)
def web(host: str, port: int, workers: int, threads: int) -> None:
    """Serve the pages."""
    with loading():
        from leadcapture import serve
        from leadcapture.app import create_app

    settings = _settings()
    if settings.trusted_proxies and host not in ("127.0.0.1", "::1", "localhost"):
        fail(
            "LEADCAPTURE_TRUSTED_PROXIES: with a proxy in front, listen on loopback only; "
            "whoever reaches this port directly could claim any address"
        )
    serve.serve(lambda: create_app(settings), f"{host}:{port}", workers, threads)


@main.command()
def scheduler() -> None:
    """Send what is due, until stopped."""
    with loading():
        from leadcapture.scheduler import run

    run(_settings())


@main.command()
@click.option("--check", is_flag=True, help="Only say whether models and database agree.")
@click.option("--to", "revision", default="head", show_default=True)
def migrate(check: bool, revision: str) -> None:
    """Bring the database's schema and the shipped texts up to date."""
    with loading():
        from leadcapture import migrate as migrations

    settings = _settings()
    if not check:
        migrations.upgrade(settings, revision)
        return
    differences = migrations.differences(settings)
    for difference in differences:
        click.echo(str(difference))
    if differences:
        fail("The models and the database differ: a migration is missing.")
    click.echo("The models and the database agree.")


@main.command("add-staff")
@click.option(
    "--role", type=click.Choice(["admin", "coordinator", "front_desk"]), default="coordinator"
)
def add_staff(role: str) -> None:
    """Print a one-time link, valid for 24 hours, with which a colleague makes an account."""
    settings = _settings(_embedded())
    with a_database(settings) as session:
        click.echo(_invitation(session, settings, role))


@main.command()
def demo() -> None:
    """Fill in thirty believable leads, one in every state, to look around with."""
    from leadcapture.app import create_app
    from leadcapture.database import db
    from leadcapture.demo import fill
    from leadcapture.web import now, vault

    settings = _settings(_embedded())
    if settings.mailbox_dir is None:
        fail("The demo is for the embedded mailbox: here a real relay would be asked to mail it.")
    app = create_app(settings)
    with app.app_context():
        count = fill(db.session(), vault(), settings, now())
        db.session.commit()
    click.echo(f"{count} leads are there to look at." if count else "The demo leads are there.")


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@click.option("--keep", type=click.IntRange(min=1), help="Delete all but so many of the newest.")
def backup(file: Path | None, keep: int | None) -> None:
    """Write the whole database into one file, while the service goes on."""
    from leadcapture import backup as backups
    from leadcapture.archive import BackupRefused
    from leadcapture.web import utc_now

    try:
        path, size = backups.take_backup(_settings(_embedded()), utc_now(), file)
    except BackupRefused as refused:
        fail(str(refused))
    click.echo(f"{path}  {size:,} bytes. The keys are not in it: keep them elsewhere.")
    for old in backups.rotate(path.parent, keep) if keep else ():
        click.echo(f"{old}  deleted")


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--verify", is_flag=True, help="Only prove in a scratch place that it restores.")
@click.option("--into", "url", help="An empty database. libpq finds a password left out here.")
def restore(file: Path, verify: bool, url: str | None) -> None:
    """Prove that a backup restores, or restore it; the copy mails nobody until released."""
    from leadcapture import restore as restores
    from leadcapture.archive import BackupRefused
    from leadcapture.settings import database_url
    from leadcapture.terminal import table
    from leadcapture.web import utc_now

    settings = _settings(_embedded())
    if verify == (url is not None):
        fail("Say either --verify or --into URL.")
    if url is None:
        drill = restores.verify(settings, file, utc_now())
        rows = [
            (check.name, "ok" if check.holds else "FAULT", check.found) for check in drill.checks
        ]
        click.echo(table(("check", "verdict", "found"), [*rows, *drill.times()]))
        sys.exit(0 if drill.holds else 1)
    try:
        manifest = restores.restore_into(settings, file, database_url(url), utc_now())
    except BackupRefused as refused:
        fail(str(refused))
    click.echo(
        f"Restored as of {manifest.taken_at.isoformat(timespec='seconds')}. Nothing is mailed from "
        "it until a person releases the outbox, on the dashboard or by: leadcapture release-outbox"
    )


@main.command()
def queue() -> None:
    """Show how many messages are in which state, for how long, and what keeps them back."""
    from leadcapture.queue_table import HEADS, read_queue
    from leadcapture.terminal import table

    with a_database(_settings(_embedded()), reads=True) as session:
        found = read_queue(session, datetime.now(UTC))
    click.echo(table(HEADS, found.rows))
    if found.gates:
        click.echo("\n" + table(("closed gate", "why", "since", "until"), found.gates))
    if found.paces:
        click.echo("\n" + table(("pace", "whole again in", "half pace until"), found.paces))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(as_json: bool) -> None:
    """Look at everything that the service leans on, and say what to mend."""
    import dataclasses
    import json

    from leadcapture.doctor import Verdict, check_settings, examine, make_resolver
    from leadcapture.web import utc_now

    try:
        findings = examine(load(_embedded()), utc_now(), make_resolver())
    except SettingsError as error:
        findings = check_settings(error)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    for finding in findings if not as_json else ():
        click.echo(f"{finding.verdict:9}  {finding.check}: {finding.found}")
        if finding.mend:
            click.echo(f"{'':9}  → {finding.mend}")
    sys.exit(1 if any(finding.verdict is Verdict.FAULT for finding in findings) else 0)


@main.command("hold-outbox")
def hold_outbox() -> None:
    """Let no letter leave until staff let mail flow again on the dashboard's first page."""
    from leadcapture.outbox import audit, gates
    from leadcapture.web import utc_now

    with a_database(_settings(_embedded())) as session:
        gates.hold_queue(session, "held_by_operator", utc_now())
        audit.record(session, None, "gate_closed", gates.QUEUE, utc_now())
        session.commit()
    click.echo("Held: what is under way ends, and no other letter leaves. Requests are taken in.")


@main.command("release-outbox")
@click.confirmation_option(
    prompt="Is this the one database that shall mail patients from now on, and no test copy?"
)
def release_outbox() -> None:
    """Let a restored or cloned database send its mail from now on."""
    from leadcapture.outbox import gates, instance
    from leadcapture.web import utc_now

    settings = _settings(_embedded())
    with a_database(settings) as session:
        instance.release(session, utc_now())
        session.commit()
        taken = instance.take(session.get_bind().engine, settings.data_dir, utc_now())
        is_held = gates.closed_gate(session, utc_now()) is not None
    if not taken:
        click.echo(
            "Released, and another machine has taken it. To send from here too: leadcapture join"
        )
    elif is_held:
        click.echo(
            "Released, but all mail is held besides; leadcapture queue says why. Staff let it flow "
            "again on the dashboard's first page."
        )
    else:
        click.echo("Released: the scheduler of this machine sends what is due.")


@main.command()
def join() -> None:
    """Let this machine send for a database that another machine is sending for already."""
    from leadcapture.outbox import instance

    settings = _settings(_embedded())
    with a_database(settings) as session:
        joined = instance.join(session.get_bind().engine, settings.data_dir)
    if not joined:
        fail(
            "No machine that belongs to this database is at work, so it may be a copy. Start the "
            "first machine's scheduler and try again, or release: leadcapture release-outbox"
        )
    click.echo("Joined: the scheduler of this machine sends too.")


@main.group()
def ledger() -> None:
    """Prove that the record of what happened is whole."""


@ledger.command("verify")
@click.option("--head", nargs=2, type=(int, str), help="A head kept elsewhere: position and hash.")
def verify_ledger(head: tuple[int, str] | None) -> None:
    """Follow the whole audit chain; status 1 and the position where it breaks, if it does."""
    from leadcapture.outbox import audit

    settings = _settings(_embedded())
    kept = audit.Head(*head) if head else audit.read_head(settings.data_dir)
    with a_database(settings, reads=True) as session:
        end, fault = audit.verify(session, audit.chain_key(settings.hash_key))
        fault = fault or audit.verify_kept(session, kept)
        waiting = audit.count_unsealed(session)
    if fault is not None:
        click.echo(f"The audit record is broken: entry {fault.position} {fault.sentence}.")
        sys.exit(1)
    click.echo(
        f"The audit record is whole: {end.position:,} entries, {waiting:,} to be chained. "
        "Keep its head elsewhere, to find out if entries are ever cut off:\n"
        f"{end.position} {end.hash}"
    )


@ledger.command("check")
def check_ledger() -> None:
    """Look for whatever breaks a ledger invariant, over all rows; status 1 where something does."""
    from leadcapture.outbox import sweeper
    from leadcapture.terminal import table
    from leadcapture.vault import Vault
    from leadcapture.web import utc_now

    settings = _settings(_embedded())
    vault = Vault(settings.seal_keys, settings.seal_key_id, settings.hash_key)
    with a_database(settings, reads=True) as session:
        found = sweeper.violations(session, utc_now(), vault=vault)
    if found:
        rows = [(one.invariant, one.what, one.subject) for one in found]
        click.echo(table(("invariant", "broken by", "row"), rows))
        click.echo(f"{len(found)} violations; staff see each under Now, with what to do.")
        sys.exit(1)
    click.echo(f"All {len(sweeper.INVARIANTS)} invariants of the ledger hold.")


def _settings(environ: dict[str, str] | None = None) -> Settings:
    try:
        return load(environ)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        fail("Leadcapture does not start until these settings are mended.")


def _embedded() -> dict[str, str]:
    """The environment as `up` would complete it, for commands that run beside it."""
    environ = dict(os.environ)
    data_dir = Path(environ.get("LEADCAPTURE_DATA_DIR", "leadcapture-data")).absolute()
    if (data_dir / SECRETS_FILE).exists():
        environ = up.embedded_defaults(environ, 8000, data_dir) | environ
        if not environ.get("LEADCAPTURE_SMTP_HOST"):
            environ |= up.mailbox_settings(data_dir, 1025)
    return environ


def first_administrator(settings: Settings) -> str | None:
    """A link that makes the first administrator, where there is no account yet; the only one."""
    from sqlalchemy import select

    from leadcapture.accounts import invitations
    from leadcapture.models import Staff
    from leadcapture.web import utc_now

    with a_database(settings) as session:
        if session.scalar(select(Staff.id).limit(1)) is not None:
            return None
        invitations.withdraw_all(session, utc_now())
        return _invitation(session, settings, "admin")


def _invitation(session: "Session", settings: Settings, role: str) -> str:
    from leadcapture.accounts.invitations import invite
    from leadcapture.web import utc_now

    token = invite(session, role, utc_now())
    session.commit()
    return f"{settings.public_url}/welcome/{token}"


def _welcome(settings: Settings, first: str | None, data_dir: Path) -> None:
    lines = [
        "",
        f"  The form       {settings.public_url}/",
        f"  The dashboard  {settings.public_url}/desk/",
    ]
    if settings.mailbox_dir is not None:
        lines.append(f"  The mailbox    {settings.public_url}/mailbox   (no relay is configured)")
    if first is not None:
        lines += [
            "",
            "  Make the first administrator with this link, once, within 24 hours:",
            f"  {first}",
        ]
    lines += ["", f"  Everything is kept in {data_dir}. Ctrl-C stops.", ""]
    click.echo("\n".join(lines))
