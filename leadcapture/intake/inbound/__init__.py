"""The mail that comes in: fetched, read, sorted into reports, complaints and answers, filed."""
