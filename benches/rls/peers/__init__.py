"""Servers that are measured beside ours, each started as its makers say."""
