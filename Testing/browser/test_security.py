"""Who is let in, and what is not taken."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from Testing.browser.client import EVENTS, HOST, ORIGIN, Page, stroke
from Testing.browser.conftest import Open

PATHS = ("/", "/api/state", "/api/cts", "/page/index.html", "/page/js/main.js", "/report.html", "/api/readers")
FOREIGN = ("http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8731", None)
ACTIONS = ("/api/propagate", "/api/cancel", "/api/undo", "/api/export", "/api/support/grow", "/api/report")


@pytest.fixture(scope="module")
def page(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One page for all of these: they change nothing."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copytree(made / "study", folder / "study")
    with Page(study=folder / "study") as opened:
        yield opened


def stranger(page: Page, host: str = HOST) -> TestClient:
    """Another browser on the same server."""
    return TestClient(page.app, base_url=f"http://{host}")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_shown_without_the_token(page: Page, path: str) -> None:
    assert stranger(page).get(path).status_code == 401
    assert stranger(page).get(f"{path}?token=guessed").status_code == 401


def test_a_token_works_once_and_the_next_one_is_told(page: Page) -> None:
    told: list[str] = []
    page.door.on_used = told.append
    token = page.door.token
    first, second = stranger(page), stranger(page)
    assert first.get(f"/?token={token}").status_code == 200
    assert first.get("/api/state").status_code == 200
    assert second.get(f"/?token={token}").status_code == 401
    assert second.get(f"/?token={told[0]}").status_code == 200


def test_the_address_does_not_keep_the_token(page: Page) -> None:
    answer = stranger(page).get(f"/?token={page.door.token}", follow_redirects=False)
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize("host", ["evil.example:8731", "127.0.0.1:80", "127.0.0.1", "evil.example"])
def test_a_name_that_was_bent_to_this_machine_is_refused(page: Page, host: str) -> None:
    answer = page.client.get("/api/state", headers={"host": host})
    assert answer.status_code == 421
    assert page.client.get(f"/?token={page.door.token}", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("path", ACTIONS)
def test_another_site_s_page_can_do_nothing(page: Page, path: str, origin: str | None) -> None:
    headers = {} if origin is None else {"origin": origin}
    assert page.client.post(path, json={}, headers=headers).status_code == 403


def test_another_site_s_page_reads_nothing(page: Page) -> None:
    for site in ("cross-site", "same-site"):
        assert page.client.get("/api/state", headers={"sec-fetch-site": site}).status_code == 403


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {}, {"host": "evil.example", "origin": ORIGIN}])
def test_another_site_s_page_hears_nothing(page: Page, headers: dict[str, str]) -> None:
    with pytest.raises(WebSocketDisconnect), page.client.websocket_connect(EVENTS, headers=headers):
        pass


def test_events_need_the_cookie(page: Page) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        stranger(page).websocket_connect(EVENTS, headers={"origin": ORIGIN}),
    ):
        pass
    with page.client.websocket_connect(EVENTS, headers={"origin": ORIGIN}) as socket:
        assert socket.receive_json()["kind"] == "hello"


def test_files_are_not_taken(page: Page) -> None:
    headers = {"origin": ORIGIN}
    upload = {"file": ("ct.nii.gz", b"\0" * 100)}
    assert page.client.post("/api/cases/phantom_01/stroke", files=upload, headers=headers).status_code == 415
    assert page.client.put("/page/js/main.js", content=b"alert(1)", headers=headers).status_code == 415
    large = {"stroke": stroke(1, *[(1.0, 1.0, 1.0)] * 200_000)}
    assert page.client.post("/api/support/stroke", json=large, headers=headers).status_code == 413


def test_a_body_without_a_length_is_not_taken(page: Page) -> None:
    headers = {"origin": ORIGIN, "content-type": "application/json"}
    assert page.client.post("/api/undo", content=iter([b'{"case":', b' ""}']), headers=headers).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page/js/..%2f..%2f..%2fapp.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/api/images/..%2f..%2fstudy/full.nii",
        "/api/images/x/..%2f..%2fetc%2fpasswd.nii",
        "/api/exports/..%2freview.csv",
        "/api/cases/..%2f..%2fstudy/mask",
        "/api/cases/%2e%2e/mask",
        "/api/cases/..%5c..%5cstudy/image",
    ],
)
def test_no_path_leads_out_of_the_study(page: Page, path: str) -> None:
    answer = page.client.get(path)
    assert answer.status_code in (404, 409)
    assert b"import" not in answer.content
    assert b"root:" not in answer.content


def test_a_link_in_the_page_s_files_or_for_a_reader_leads_nowhere(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "study" / "readers").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "study" / "readers" / "ann").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="a link to elsewhere"):
        open_page(reader="ann")


@pytest.mark.parametrize("reader", ["../ann", "a/b", "..", "con", "a\0b"])
def test_a_reader_s_name_is_that_of_a_folder(open_page: Open, reader: str) -> None:
    with pytest.raises(Exception, match="that can name a folder"):
        open_page(reader=reader)


@pytest.mark.parametrize("path", [*PATHS, "/api/nothing", "/page/nothing.js"])
def test_every_answer_has_the_headers(page: Page, path: str) -> None:
    for client in (page.client, stranger(page)):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert "'unsafe-eval'" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_has_no_script_inside_and_reaches_for_nothing_outside() -> None:
    folder = Path(__file__).parents[2] / "OneShotSegLib" / "browser" / "page"
    index = (folder / "index.html").read_text(encoding="utf-8")
    assert index.count("<script") == 1
    assert '<script type="module" src="/page/js/main.js"></script>' in index
    assert "style=" not in index
    for file in (*folder.glob("js/*.js"), folder / "page.css", folder / "index.html"):
        text = file.read_text(encoding="utf-8")
        assert "https://" not in text
        assert "innerHTML" not in text
        assert "eval(" not in text


def test_the_vendored_file_is_the_one_that_its_version_names() -> None:
    import hashlib

    vendor = Path(__file__).parents[2] / "OneShotSegLib" / "browser" / "page" / "vendor"
    version = (vendor / "VERSION.txt").read_text(encoding="utf-8")
    assert f"sha256 {hashlib.sha256((vendor / 'niivue.js').read_bytes()).hexdigest()}" in version
    assert "BSD 2-Clause" in (vendor / "LICENSES.txt").read_text(encoding="utf-8")
