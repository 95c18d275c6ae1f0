"""The long run of the meters against their twins."""
