"""Learners: what a comparison can train."""
