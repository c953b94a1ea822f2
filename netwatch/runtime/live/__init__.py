"""Live capture as processes: a worker that captures and parses, and the one that owns terminal and output."""
