"""Sealed segments on disk: envelope (age), vault, catalogue, ledger."""
