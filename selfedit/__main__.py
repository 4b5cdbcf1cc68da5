"""`python -m selfedit` is the command `selfedit`."""

from __future__ import annotations

from selfedit.cli import main

if __name__ == "__main__":
    main()
