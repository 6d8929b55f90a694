"""Servers and connections, above the engine: addresses, name resolution, connecting, listening."""
