"""WS-01: three hundred payloads in every field, read in a real browser on every page and letter."""

from leadcapture.app import create_app
from leadcapture.settings import load
from tests.both import Place
from tests.chromium import open_browser
from tests.markup import A_FEW, PAYLOADS
from tests.proofs.finding import Finding
from tests.served import a_service
from tests.smuggling import Smuggler


def smuggled(place: Place, quick: bool, seed: int) -> Finding:
    """No script runs, nothing of it stands in a page as an element."""
    del seed
    payloads = A_FEW if quick else PAYLOADS
    with (
        a_service(place.folder, place.url, place.office.port) as service,
        open_browser() as browser,
    ):
        service.start_web()
        app = create_app(load(service.environ))
        smuggler = Smuggler(app, place.engine, place.office, service.url)
        noted = smuggler.smuggle(browser, payloads)
    letters = len(place.office.letters)
    faults = noted if letters >= len(payloads) else [*noted, f"only {letters} letters left"]
    return Finding(f"{len(payloads)} payloads, {letters} letters read, {len(noted)} noted", faults)
