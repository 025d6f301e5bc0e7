"""The life of a lead: pipeline, timeline, follow-up plan, duplicates, search."""
