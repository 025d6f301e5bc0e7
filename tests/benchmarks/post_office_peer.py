"""The peer: django-post_office with its queue on the same database, in a process of its own."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from tests.benchmarks.senders import Sample
from tests.both import Place

HOUSE = Path(__file__).parent.parent.parent


def peer_rate(
    place: Place, port: int, sample: Sample, warm: int, count: int, at_its_best: bool
) -> float:
    """Letters a second of its sender over its own queue, filled beforehand.

    ``at_its_best``: all in one batch of one thread, and no log of what was sent; else with the
    settings that it comes with.
    """
    told = {
        "url": place.url,
        "folder": str(place.folder),
        "port": port,
        "warm": warm,
        "count": count,
        "at_its_best": at_its_best,
        "words": [sample.subject, sample.text, sample.html],
        "packet": len(sample.packet),
    }
    (place.folder / "peer.json").write_text(json.dumps(told))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.benchmarks.post_office_peer"),
            str(place.folder / "peer.json"),
        ],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout.split()[-1])


def main(told: dict[str, Any]) -> None:
    warm, count = told["warm"], told["count"]
    import django
    from django.conf import settings
    from django.core.management import call_command

    best = {"BATCH_SIZE": warm + count, "LOG_LEVEL": 0, "THREADS_PER_PROCESS": 1}
    settings.configure(
        DATABASES={"default": _database(told["url"], told["folder"])},
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=told["port"],
        MEDIA_ROOT=told["folder"],
        USE_TZ=True,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        POST_OFFICE=best if told["at_its_best"] else {},
    )
    django.setup()
    call_command("migrate", verbosity=0)
    _queue(told, warm)
    _send_all()
    _queue(told, count)
    began = time.perf_counter()
    sent = _send_all()
    took = time.perf_counter() - began
    assert sent == count, (sent, count)
    print(count / took)


def _queue(told: dict[str, Any], count: int) -> None:
    from django.core.files.base import ContentFile
    from post_office import mail
    from post_office.utils import create_attachments

    subject, text, html = told["words"]
    queued = mail.send_many(
        [
            {
                "recipients": [f"n{number}@example.org"],
                "sender": "hello@clinic.example",
                "subject": subject,
                "message": text,
                "html_message": html,
            }
            for number in range(count)
        ]
    )
    if told["packet"]:
        packet = ContentFile(b"\x25PDF" * (told["packet"] // 4))
        # One file for all of them, as ours has one.
        attachments = create_attachments(
            {"packet.pdf": {"file": packet, "mimetype": "application/pdf"}}
        )
        for email in queued:
            email.attachments.add(*attachments)


def _send_all() -> int:
    from post_office import mail

    whole = 0
    while (sent := mail.send_queued()) != (0, 0, 0):
        assert sent[1:] == (0, 0), sent
        whole += sent[0]
    return whole


def _database(url: str, folder: str) -> dict[str, Any]:
    given = make_url(url)
    if given.get_backend_name() == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/peer.sqlite3"}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given.database,
        "USER": given.username,
        "PASSWORD": given.password or "",
        "HOST": given.host or given.query.get("host", ""),
        "PORT": given.port or "",
    }


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
