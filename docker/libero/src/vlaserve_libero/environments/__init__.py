"""Environments: one interface (base.py), found by name (registry.py)."""
