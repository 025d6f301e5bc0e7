"""The peer: django-post_office with its queue on the same database, in a process of its own."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

HOUSE = Path(__file__).parent.parent.parent


def peer_rate(url: str, folder: Path, port: int, count: int, size: int) -> float:
    """Letters a second of its sender over its own queue, filled beforehand."""
    told = json.dumps([url, str(folder), port, count, size])
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.post_office_peer", told],
        cwd=HOUSE,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout.split()[-1])


def main(url: str, folder: str, port: int, count: int, size: int) -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    settings.configure(
        DATABASES={"default": _database(url, folder)},
        INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        USE_TZ=True,
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        # Its fastest form: all in one batch, no log of what was sent.
        POST_OFFICE={"BATCH_SIZE": count, "LOG_LEVEL": 0, "THREADS_PER_PROCESS": 1},
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from post_office import mail

    words = "We are here when you have questions.\r\n" * (size // 80)
    mail.send_many(
        [
            {
                "recipients": [f"n{number}@example.org"],
                "sender": "hello@clinic.example",
                "subject": "A word",
                "message": words,
                "html_message": f"<p>{words}</p>",
            }
            for number in range(count)
        ]
    )
    began = time.perf_counter()
    sent, failed, requeued = mail.send_queued(log_level=0)
    took = time.perf_counter() - began
    assert (sent, failed, requeued) == (count, 0, 0), (sent, failed, requeued)
    print(count / took)


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
    main(*json.loads(sys.argv[1]))
