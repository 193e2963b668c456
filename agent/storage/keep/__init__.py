"""Keeping: what `pasu keep` does. Retention, erasure, holds, trust in time, checks, rebuilding."""
