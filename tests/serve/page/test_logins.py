"""Who may see and do what with a browser, and that no other site's page does it for them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from selfedit.serve import sessions
from selfedit.serve.keys import Keys, Role
from tests.serve.conftest import Running, Taught, another, running

KEYS = {role: role.name.lower() * 8 for role in Role}
BROWSER = {"accept": "text/html"}


@pytest.fixture(scope="module")
def guarded(taught: Taught) -> Iterator[Running]:
    with running(another(taught.folder), Keys(list(KEYS.items()))) as one:
        yield one


def logged_in(guarded: Running, role: Role) -> httpx.Client:
    client = httpx.Client(base_url=guarded.url, headers=BROWSER, timeout=60)
    answer = client.post("/login", data={"key": KEYS[role]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return client


def test_without_a_key_there_is_the_login_page_alone(guarded: Running) -> None:
    with httpx.Client(base_url=guarded.url, headers=BROWSER, timeout=60) as client:
        for path in ("/", "/lineage", "/versions/v1", "/nothing", "/runs", "/documents"):
            answer = client.get(path)
            assert answer.status_code == 401 and 'action="/login"' in answer.text, path
        part = client.get("/jobs", headers={"hx-request": "true"})
        assert part.status_code == 401 and part.headers["hx-refresh"] == "true"
        assert client.get("/", headers={"accept": "*/*"}).json()["error"]["code"] == "invalid_api_key"
        wrong = client.post("/login", data={"key": "x" * 20})
        assert wrong.status_code == 401 and "There is no such key" in wrong.text and "x" * 20 not in wrong.text
        assert client.get("/static/page.css").status_code == 200
        assert client.get("/", cookies={"selfedit": "made-up"}).status_code == 401


def test_a_login_is_a_cookie_that_no_script_and_no_other_site_gets(guarded: Running) -> None:
    with httpx.Client(base_url=guarded.url, headers=BROWSER, timeout=60) as client:
        cookie = client.post("/login", data={"key": KEYS[Role.ASK]}).headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and KEYS[Role.ASK] not in cookie
        assert client.get("/").status_code == 200 and "Log out" in client.get("/").text
        assert client.post("/logout").status_code == 303
        assert client.get("/").status_code == 401


def test_a_login_runs_out(guarded: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with logged_in(guarded, Role.ASK) as client:
        assert client.get("/").status_code == 200
        now = sessions.time.monotonic()
        monkeypatch.setattr(sessions.time, "monotonic", lambda: now + sessions.SECONDS + 1)
        assert client.get("/").status_code == 401


def test_what_a_role_may_not_do_is_not_shown_and_is_refused(guarded: Running) -> None:
    buttons = {
        Role.ASK: {},
        Role.TEACH: {"/documents": 'enctype="multipart/form-data"', "/feedback": 'action="/feedback"'},
        Role.APPROVE: {"/versions/v1": 'action="/versions/v1/use"', "/versions/v2": 'action="/rollback"'},
    }
    for role in Role:
        with logged_in(guarded, role) as client:
            for least, shown in buttons.items():
                for path, button in shown.items():
                    assert (button in client.get(path).text) == (role >= least), (role, path)
            if role < Role.APPROVE:
                for path in ("/versions/v1/use", "/rollback"):
                    assert client.post(path).status_code == 403
                assert client.post("/versions/p1/reject", data={"why": "x"}).status_code == 403
            if role < Role.TEACH:
                assert client.post("/feedback", data={"question": "q", "answer": "a"}).status_code == 403
                assert client.post("/documents", files={"file": ("a.md", b"# A\n\nB.")}).status_code == 403
    assert guarded.session.store.active == "v2"


def test_a_page_of_another_site_changes_nothing(server: Running) -> None:
    host = server.url.removeprefix("http://")
    other: list[dict[str, str]] = [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": f"http://{host}"},
    ]
    own: list[dict[str, str]] = [{}, {"origin": f"http://{host}"}, {"sec-fetch-site": "same-origin", "origin": "null"}]
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for headers in other:
            for path in ("/versions/v1/use", "/feedback", "/v1/chat/completions", "/login"):
                assert client.post(path, headers=headers).status_code == 403, (headers, path)
        for headers in own:
            assert client.post("/answer", data={"question": "x", "name": "base"}, headers=headers).status_code == 200
    assert server.session.store.active == "v2"
