"""Worker processes behind one port."""
