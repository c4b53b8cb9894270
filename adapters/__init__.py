"""Platforms: each adapter shows documents in one place where people talk. Knows nothing of teams or models."""
