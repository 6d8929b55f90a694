"""Bytes as AIR reads and writes them: typed values, texts, and a buffer for them."""
