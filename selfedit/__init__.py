"""Self-adapting language models."""
