"""The tests: a file per room, journeys, pages in a browser, proofs and benchmarks."""
