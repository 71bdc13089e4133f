"""How good the vectors are: exact search, pair matching, geometry, with baselines and intervals. No torch."""
