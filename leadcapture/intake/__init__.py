"""Whatever arrives becomes a request: screening, consent, `receive`."""
