"""Leadcapture: a patient asks, a packet arrives, follow-ups help, staff see who waits."""
