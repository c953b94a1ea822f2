"""The vocabulary that every room speaks: batches, packets, readings, records, anomalies, limits, errors, safe text."""
