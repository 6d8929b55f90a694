"""Servers and connections, above the engine: addresses, look-ups, connecting, listening."""
