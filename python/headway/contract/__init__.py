"""The documents: text with positions, the typed model, units, laws, rules, digests, schema.

`read.read_paths` and `read.read_text` are the way in. Nothing here depends on another part of Headway, and nothing is
imported by importing the package itself.
"""
