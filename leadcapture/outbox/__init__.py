"""The outbox: messages that must leave once, and the proof of what became of them.

SMTP has no transaction across two machines (RFC 1047). With D copies of a message that the relay
took responsibility for, and U recorded doubts: what a person waits for arrives at least once, and
D ≤ 1 + U, U ≤ 2; follow-ups at most once; a copy without a doubt on record never.

The way of a letter, where the order matters::

    claim     compare-and-swap by state and fence, commit; lease
    render    the same bytes on every try, read back before they go
    talk      TLS or nothing, MAIL FROM, one RCPT, DATA, the body without its dot
    INTENT    compare-and-swap, commit: what stops the letter makes it lose
    dot       the window of doubt opens
    wait      up to 600 s for the reply (RFC 5321 §4.5.3.2.6)
    OUTCOME   compare-and-swap, commit: the window closes

=============  ===================================  =========================================
from           event                                to
=============  ===================================  =========================================
queued         claim                                claimed: fence + 1, attempts + 1, lease
claimed        lease over                           queued
claimed        intent                               sending, with a longer lease
claimed        unsubscribe, complaint, bounce, cap  suppressed
claimed        stop rule, staff                     cancelled, with its reason
claimed        past ``not_after``                   expired; of a packet, a task for staff
sending        250                                  sent
sending        4xx to the dot                       queued, backed off
sending        5xx to the dot                       failed
sending        lost, silent, nonsense, lease over   uncertain
uncertain      relay's log, report, answer, staff   sent
uncertain      half an hour, first time             queued, same bytes; a follow-up: sent, assumed
uncertain      second time                          held, a task for staff
held           staff, signed in afresh              queued; or sent by their evidence; or cancelled
sent           a report that is proven ours         bounced
=============  ===================================  =========================================

The rules, on both databases:

1. Safety rests on compare-and-swaps, never on locks, which only spare workers each other.
2. SQLite writes by BEGIN IMMEDIATE with ``synchronous=FULL``; pages that read begin deferred.
3. No transaction is open while the network is waited for.
4. Due times and leases are compared with one clock: on PostgreSQL the server's.
5. A message is queued in the transaction of its cause, once by its ``dedupe_key``.
6. What stops letters turns its queued and claimed rows in its own transaction, so that of it and
   an intent one loses, whichever commits first.
7. A due time is a column, never a job: a scheduler only ticks, and any number of them may.

What each reply of the relay means is one table in `replies`; the invariants I1 to I10, which hold
at every moment, are in `invariants` and looked for by the `sweeper`.
"""
