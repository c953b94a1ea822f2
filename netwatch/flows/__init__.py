"""Columns of packets become flows: key.py, index.py (exact hash table), segments.py (where a flow ends), table.py."""
