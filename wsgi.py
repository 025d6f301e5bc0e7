"""What a WSGI server imports: ``wsgi:app``, built from ``LEADCAPTURE_*``."""

from leadcapture.app import create_app
from leadcapture.settings import load

app = create_app(load())
