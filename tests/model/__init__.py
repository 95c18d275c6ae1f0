"""The slow, obvious twins of the compiled meters, and the histories that both must answer alike.

Derived from the design alone, by another hand than the core's, so that one mistake is not made twice.
"""
