"""Subscriptions: classic rest-hooks, topics by the R5 Backport guide in R4 and R4B, and R5's own."""
