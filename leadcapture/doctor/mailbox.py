"""The mailbox: can we sign in where bounces and answers come to?"""

import contextlib
import imaplib
import ssl

from leadcapture.doctor.finding import Finding, attention, fault, ok
from leadcapture.settings import Imap, Settings

_SECONDS = 4.0


def examine(settings: Settings) -> list[Finding]:
    if settings.imap is None:
        if settings.mailbox_dir is not None:
            return [ok("mailbox", "none is needed beside the embedded one")]
        mend = "Without LEADCAPTURE_IMAP_HOST no bounce and no answer is ever seen."
        return [attention("mailbox", "none is configured", mend)]
    where = f"{settings.imap.host}:{settings.imap.port}"
    mend = "Check the LEADCAPTURE_IMAP_… settings with the mailbox's provider."
    try:
        count = _sign_in(settings.imap)
    except ssl.SSLCertVerificationError as error:
        return [fault("mailbox", f"{where}: certificate: {error.verify_message}", mend)]
    except imaplib.IMAP4.error:
        return [fault("mailbox", f"{where} refuses our sign-in or folder", mend)]
    except (OSError, ValueError) as error:
        return [fault("mailbox", f"{where} is out of reach ({type(error).__name__})", mend)]
    return [ok("mailbox", f"{where} lets us in; {count} mails in {settings.imap.folder}")]


def _sign_in(imap: Imap) -> int:
    """Open the folder read-only; how many mails are in it."""
    tls = ssl.create_default_context(cafile=imap.ca_file or None)
    if imap.security == "tls":
        client: imaplib.IMAP4 = imaplib.IMAP4_SSL(
            imap.host, imap.port, ssl_context=tls, timeout=_SECONDS
        )
    else:
        client = imaplib.IMAP4(imap.host, imap.port, timeout=_SECONDS)
    with contextlib.closing(client.sock):
        if imap.security == "starttls":
            client.starttls(ssl_context=tls)
        client.login(imap.user, imap.password)
        status, count = client.select(f'"{imap.folder}"', readonly=True)
        if status != "OK":
            raise imaplib.IMAP4.error("no such folder")
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            client.logout()
        return int(count[0] or 0)
