"""Policies: attributed flows, lookups and coverage in; PASS, FAIL or INCONCLUSIVE out (DESIGN sections 6 and 7)."""
