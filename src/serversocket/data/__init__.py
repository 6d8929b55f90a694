"""Bytes as AIR reads and writes them: typed values, texts, and the buffer `ByteArray`."""
