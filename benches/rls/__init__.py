"""Envoy's rate-limit service beside its peers: h2load over one prepared request, each server in a process of its own.

Every server holds the same two limits for every `user`: `open` at more a second than anybody can ask, `closed` at one,
used up before anything is counted. A case is one of the two, asked over and over; what is compared is the CPU of the
server's processes a decision.
"""
