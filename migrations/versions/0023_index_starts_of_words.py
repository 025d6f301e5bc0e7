"""Index the first letters of words beside the words, by which two starts are found together.

A GIN index reads what lies at a word quickly, but gathers all that lies at any word with a start.
PostgreSQL alone: SQLite's index has the starts that it needs. Of a million leads it takes a minute,
in which they can be read and not written.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# A word's starts of up to five letters, and the word; no word of an index may be longer than 2 KB.
STARTS = """
CREATE FUNCTION lead_starts(words text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT array_to_tsvector(array(
    SELECT left(word, length)
    FROM unnest(string_to_array(words, ' ')) AS word, unnest(ARRAY[1, 2, 3, 4, 5, 60]) AS length
    WHERE word <> ''
))
$$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(STARTS)
    _index("lead_starts(search_text)")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    _index("to_tsvector('simple'::regconfig, search_text)")
    op.execute("DROP FUNCTION lead_starts(text)")


def _index(what: str) -> None:
    op.execute("DROP INDEX ix_lead_search")
    op.execute(f"CREATE INDEX ix_lead_search ON lead USING gin ({what})")
    # What is counted of an index's words is counted when the table is looked at, not by the index;
    # a table that was looked at while it was empty is taken to stay so.
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT 1 FROM lead)")):
        op.execute("ANALYZE lead")
