"""Providers: what answers a call. A new one is one file and one line in the registry."""
