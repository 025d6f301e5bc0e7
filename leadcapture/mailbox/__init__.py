"""The newcomer's mailbox: real SMTP on loopback and a page that shows what arrived."""

from leadcapture.mailbox.pages import register

__all__ = ["register"]
