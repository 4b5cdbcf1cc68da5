"""The search step: write self-edits, train an adapter on each, ask, rank, select, join."""
