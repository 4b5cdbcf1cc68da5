"""What a request may do, by the role of its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from selfedit.serve.errors import ApiError
from selfedit.serve.keys import Role


def needs(role: Role) -> Callable[[Request], str]:
    """A dependency that lets through who has this role, and says by what name the audit log knows them."""

    def check(http: Request) -> str:
        own = http.state.role
        if own is None or own < role:
            has = "none" if own is None else f"'{own.name.lower()}'"
            raise ApiError(403, f"This needs a key of the role '{role.name.lower()}', and yours is {has}.", code="role")
        who: str = http.state.who
        return who

    return check


Asker = Annotated[str, Depends(needs(Role.ASK))]
Teacher = Annotated[str, Depends(needs(Role.TEACH))]
Approver = Annotated[str, Depends(needs(Role.APPROVE))]
