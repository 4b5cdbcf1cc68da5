"""What can be wrong with how a server is to learn, found before its model is loaded."""

from __future__ import annotations

from selfedit.errors import UserError
from selfedit.serve.learning.spool import Spool
from selfedit.serve.settings import ServeSettings
from selfedit.session import Session
from selfedit.stream.folder import check_folder


def check_learning(session: Session, settings: ServeSettings) -> None:
    """Raise UserError unless a server could learn so, into this store."""
    chosen = settings.learning
    if not 0 < chosen.share < 1:
        raise UserError(f"--learning-share is {chosen.share:g}: give more than 0 and less than 1.")
    if not 0 < chosen.slice_s <= 60:
        raise UserError(f"--learning-pause is {chosen.slice_s:g}: give more than 0 and at most 60 seconds.")
    config = session.check_learn(**chosen.settings)
    for name in ("inner_loop", "generator"):
        if getattr(config, name) != "batched":
            raise UserError(f"{name} is '{getattr(config, name)}': a server learns with 'batched' alone.")
    if settings.watch is not None:
        check_folder(settings.watch.expanduser(), session.store_path)
    Spool(session.store_path).check()
