"""One planning rule a file: pure functions from facts to a decision."""
