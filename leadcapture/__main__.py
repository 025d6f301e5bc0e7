"""`python -m leadcapture` is the command `leadcapture`."""

from leadcapture.cli import main

main()
