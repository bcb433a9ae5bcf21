"""Runs a policy through the episodes of a benchmark and keeps a journal of them."""
