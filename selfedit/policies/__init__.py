"""Policies: who writes self-edits, in which formats, and questions."""
