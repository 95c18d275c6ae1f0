"""Fifty gates and one limit: what leases are worth beside a central counter, a static split, and Redis for each decision."""
