"""Templates to answers, under a policy by which a browser runs and loads nothing but our own files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from selfedit.report.canvas import STYLE
from selfedit.serve.errors import ApiError
from selfedit.serve.keys import Role
from selfedit.serve.service import Service
from selfedit.serve.sessions import cookie_id
from selfedit.text.harmless import harmless

_FOLDER = Path(__file__).parent

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FILES = {path.name: path.read_bytes() for path in (_FOLDER / "static").iterdir() if path.suffix in TYPES}
"""What browsers load, by name."""
FILES["chart.css"] = STYLE.encode()

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Of a page that says nothing of where it was sent from, a browser says "null", which is nobody's own site.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


def wants_page(headers: Mapping[str, str]) -> bool:
    """Whether a browser asks, and not a program."""
    return "text/html" in headers.get("accept", "") or is_part(headers)


def is_part(headers: Mapping[str, str]) -> bool:
    """Whether a part of a page is asked for, by htmx."""
    return headers.get("hx-request") == "true"


def chart(svg: str) -> Markup:
    """A chart of `selfedit.report`, whose style is a file here."""
    return Markup(svg.replace(f"<style>{STYLE}</style>", ""))


class Renderer:
    """Renders pages of one server.

    Args:
        logins: whether people have to log in.
    """

    def __init__(self, service: Service, logins: bool) -> None:
        self._service, self._logins = service, logins
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_harmless,
        )
        self._templates.filters |= {"percent": percent, "day": day, "chart": chart}
        self._templates.globals["asset"] = _asset

    def page(self, request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
        """A whole page."""
        return HTMLResponse(self.text(template, **self._common(request), **values), status, HEADERS)

    def part(self, request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
        """A part of one, for htmx to put in its place."""
        return HTMLResponse(self.text(template, may=self._may(request), **values), status, HEADERS)

    def text(self, template: str, **values: Any) -> str:
        """A template with values; every one of them is escaped."""
        return self._templates.get_template(template).render(values)

    def refusal(self, headers: Mapping[str, str], error: ApiError) -> tuple[bytes, dict[str, str]]:
        """Body and headers of what is sent in place of an answer, to a browser or to a program."""
        if not wants_page(headers):
            return error.encoded, {"content-type": "application/json", **error.headers}
        own = {"content-type": "text/html; charset=utf-8", **HEADERS, **error.headers}
        if is_part(headers):
            # Whoever is not logged in any more needs the whole page.
            own |= {"hx-refresh": "true"} if error.status == 401 else {}
            return self.text("refused.html", message=error.message).encode(), own
        template = "login.html" if error.status == 401 else "error.html"
        return self.text(template, status=error.status, message=error.message, wrong=False).encode(), own

    def problem(self, request: Request, error: ApiError) -> Response:
        """The same as an answer."""
        body, headers = self.refusal(request.headers, error)
        return Response(body, error.status, headers)

    def _may(self, request: Request) -> dict[str, bool]:
        """What whoever asks may do here."""
        role: int = request.state.role or 0
        most = min(role, Role.ASK) if self._service.settings.read_only else role
        return {each.name.lower(): each <= most for each in Role}

    def _common(self, request: Request) -> dict[str, Any]:
        store = self._service.session.store
        return {
            "may": self._may(request),
            "path": request.url.path,
            "active": store.active,
            "waiting": len(store.ids("p")),
            "model": self._service.session.base.ref.name,
            "read_only": self._service.settings.read_only,
            "logged_in": self._logins and bool(cookie_id(request.headers.get("cookie", ""))),
        }


def go_to(path: str) -> RedirectResponse:
    """Send a browser on, after something was done."""
    return RedirectResponse(path, 303, HEADERS)


def percent(share: float) -> str:
    """A share as people read it."""
    return f"{100 * share:.0f}%"


def day(time: str) -> str:
    """A time of ours without its seconds."""
    return time[:16].replace("T", " ")


def _asset(name: str) -> str:
    """The address of a file of ours, which changes with it."""
    return f"/static/{name}?{hashlib.sha256(FILES[name]).hexdigest()[:12]}"


def _harmless(value: Any) -> Any:
    """What a template writes: text of documents and models without characters that mislead."""
    return harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value
