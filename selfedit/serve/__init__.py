"""The versions of a store behind an HTTP interface that clients of OpenAI's speak."""
