"""How a message leaves: queue, dispatch, the SMTP session, the reply table, suppressions."""
