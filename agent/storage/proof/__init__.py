"""Proving: the ledger as an RFC 6962 Merkle log with signed checkpoints."""
