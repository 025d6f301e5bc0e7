"""The command `leadcapture`."""

import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from leadcapture import serve, up
from leadcapture.settings import SECRETS_FILE, Settings, SettingsError, load


@click.group()
@click.version_option(package_name="leadcapture")
def main() -> None:
    """Lead capture for a clinic: the form, the packet, the follow-ups, the dashboard."""
    # Libraries say what an address did at INFO; ours say what a reference did.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("leadcapture").setLevel(logging.INFO)


@main.command("up")
@click.option("--port", default=8000, show_default=True, help="Where the web server listens.")
def run_everything(port: int) -> None:
    """Run the whole service here, with embedded defaults for all that is not set."""
    from leadcapture import migrate
    from leadcapture.mailbox import server

    if not up.is_free(port):
        _fail(f"Port {port} is taken. Choose another: leadcapture up --port {port + 80}")
    data_dir = Path(os.environ.get("LEADCAPTURE_DATA_DIR", "leadcapture-data")).absolute()
    up.make_secrets(data_dir)
    environ = dict(os.environ) | {"LEADCAPTURE_DATA_DIR": str(data_dir)}
    environ |= up.embedded_defaults(environ, port)
    mailbox = None
    if not environ.get("LEADCAPTURE_SMTP_HOST"):
        mailbox = server.start(data_dir / "mailbox", up.free_port())
        environ |= up.mailbox_settings(data_dir, mailbox.port)
    settings = _settings(environ)
    up.remember_address(data_dir, settings.public_url)
    migrate.upgrade(settings)
    _welcome(settings, first=_first_administrator(settings), data_dir=data_dir)
    status = up.Supervisor(environ, port).run()
    if mailbox is not None:
        mailbox.stop()
    sys.exit(status)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--threads", default=8, show_default=True)
def web(host: str, port: int, workers: int, threads: int) -> None:
    """Serve the pages."""
    from leadcapture.app import create_app

    settings = _settings()
    if settings.trusted_proxies and host not in ("127.0.0.1", "::1", "localhost"):
        _fail(
            "LEADCAPTURE_TRUSTED_PROXIES: with a proxy in front, listen on loopback only; "
            "whoever reaches this port directly could claim any address"
        )
    serve.serve(lambda: create_app(settings), f"{host}:{port}", workers, threads)


@main.command()
def scheduler() -> None:
    """Send what is due, until stopped."""
    from leadcapture.scheduler import run

    run(_settings())


@main.command()
@click.option("--check", is_flag=True, help="Only say whether models and database agree.")
@click.option("--to", "revision", default="head", show_default=True)
def migrate(check: bool, revision: str) -> None:
    """Bring the database's schema and the shipped texts up to date."""
    from leadcapture import migrate as migrations

    settings = _settings()
    if not check:
        migrations.upgrade(settings, revision)
        return
    differences = migrations.differences(settings)
    for difference in differences:
        click.echo(str(difference))
    if differences:
        _fail("The models and the database differ: a migration is missing.")
    click.echo("The models and the database agree.")


@main.command("add-staff")
@click.option(
    "--role", type=click.Choice(["admin", "coordinator", "front_desk"]), default="coordinator"
)
def add_staff(role: str) -> None:
    """Print a one-time link, valid for 24 hours, with which a colleague makes an account."""
    settings = _settings(_embedded())
    click.echo(_invitation(settings, role))


@main.command()
def demo() -> None:
    """Fill in thirty believable leads, one in every state, to look around with."""
    from leadcapture.app import create_app
    from leadcapture.database import db
    from leadcapture.demo import fill
    from leadcapture.web import now, vault

    settings = _settings(_embedded())
    if settings.mailbox_dir is None:
        _fail("The demo is for the embedded mailbox: here a real relay would be asked to mail it.")
    app = create_app(settings)
    with app.app_context():
        count = fill(db.session(), vault(), settings, now())
        db.session.commit()
    click.echo(f"{count} leads are there to look at." if count else "The demo leads are there.")


def _settings(environ: dict[str, str] | None = None) -> Settings:
    try:
        return load(environ)
    except SettingsError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        _fail("Leadcapture does not start until these settings are mended.")


def _embedded() -> dict[str, str]:
    """The environment as `up` would complete it, for commands that run beside it."""
    environ = dict(os.environ)
    data_dir = Path(environ.get("LEADCAPTURE_DATA_DIR", "leadcapture-data")).absolute()
    if (data_dir / SECRETS_FILE).exists():
        environ = up.embedded_defaults(environ, 8000, data_dir) | environ
        if not environ.get("LEADCAPTURE_SMTP_HOST"):
            environ |= up.mailbox_settings(data_dir, 1025)
    return environ


def _first_administrator(settings: Settings) -> str | None:
    """A link that makes the first administrator, where there is no account yet."""
    from sqlalchemy import select

    from leadcapture.database import open_engine, open_session
    from leadcapture.models import Staff

    engine = open_engine(settings.database_url)
    with open_session(engine) as session:
        someone = session.scalar(select(Staff.id).limit(1))
    engine.dispose()
    return None if someone else _invitation(settings, "admin")


def _invitation(settings: Settings, role: str) -> str:
    from leadcapture.accounts.invitations import invite
    from leadcapture.database import open_engine, open_session
    from leadcapture.web import utc_now

    engine = open_engine(settings.database_url)
    with open_session(engine) as session:
        token = invite(session, role, utc_now())
        session.commit()
    engine.dispose()
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


def _fail(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(2)
