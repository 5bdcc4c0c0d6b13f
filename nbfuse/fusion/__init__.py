"""Fusing: plan, ask everybody at once, judge, and one result. Knows nothing of notebooks."""
