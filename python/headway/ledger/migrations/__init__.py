"""The schema's history, oldest first. A released migration is never edited."""
