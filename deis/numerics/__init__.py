"""Mathematics in float64 that knows nothing of problems or networks."""
