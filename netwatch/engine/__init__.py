"""The engine: batches and times in, records out; it knows no file, socket, clock, thread or screen."""
