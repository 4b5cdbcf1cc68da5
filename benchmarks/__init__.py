"""One script a claim: each prints a table and writes JSON. Threads are set up before anything imports torch."""

from __future__ import annotations

from selfedit.runtime import prepare_threads

prepare_threads()
