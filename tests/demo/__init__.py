"""The demo under test: in short, with other seeds, and killed."""
