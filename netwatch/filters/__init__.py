"""One filter language: text to expression, a mask over flows, a test of lookups."""
