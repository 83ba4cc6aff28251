"""Runs: from a learner and a stream to a result that is kept."""
