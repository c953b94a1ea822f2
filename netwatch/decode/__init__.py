"""Batches in, columns out: link layers, tunnels, IP, transport; fragments from one batch to the next."""
