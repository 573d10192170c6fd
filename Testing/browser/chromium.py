"""A real Chromium without a window, and a server of its own process for it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

SERVER = Path(__file__).parents[1] / "helpers" / "quick_page.py"
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=\S+")
MOST_LOOKS = 1500
MOST_TABS = 150
THEMES = ("light", "dark")
NO_TROUBLES = ("status of 4", "ERR_CONNECTION")
CUT_SHORT = ("ERR_CONTENT_LENGTH_MISMATCH", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE")
"""What Chromium says where the server is killed while it answers."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def program() -> str:
    """Where Chromium is; the test is skipped if it is nowhere."""
    found = os.environ.get("CHROMIUM") or next((path for name in NAMES if (path := shutil.which(name))), None)
    if not found:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium; or set CHROMIUM)")
    return found


class Served:
    """`oneshotseg browse` in a process of its own.

    Args:
        arguments: Of the command.
        large_voxels: From how many voxels on a CT is large; None for the usual number.
    """

    def __init__(self, *arguments: object, large_voxels: int | None = None) -> None:
        self.large_voxels = large_voxels
        self.arguments = [str(one) for one in arguments]
        self.lines: list[str] = []
        self._start()

    def _start(self, port: int | None = None) -> None:
        words: Sequence[str] = ("browse", *self.arguments, "--no-open", "--device", "cpu")
        words = (*words, "--port", str(port)) if port else words
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if self.large_voxels is not None:
            environment["LARGE_VOXELS"] = str(self.large_voxels)
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER), *words], stderr=subprocess.PIPE, encoding="utf-8", env=environment
        )
        self.address = ""
        stream: Any = self.process.stderr
        for line in stream:
            self.lines.append(line)
            if match := ADDRESS.search(line):
                self.address, self.port = match[0], int(match[1])
                break
        assert self.address, "".join(self.lines)
        threading.Thread(target=lambda: self.lines.extend(stream), daemon=True).start()

    def another_address(self) -> str:
        """An address for another browser: each token works once."""
        found = [match[0] for line in self.lines if (match := ADDRESS.search(line))]
        return found[-1]

    def kill(self) -> None:
        """End it without a warning."""
        self.process.kill()
        self.process.wait()

    def again(self) -> str:
        """Start it anew on the same port; its address."""
        self._start(self.port)
        return self.address

    def stop(self) -> int:
        """End it as Ctrl+C does; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Window:
    """A page in Chromium, and what a person does in it.

    Args:
        page: Playwright's.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.troubles: list[str] = []
        self.no_troubles: tuple[str, ...] = NO_TROUBLES
        page.set_default_timeout(90_000)
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("console", self._on_console)

    def _on_console(self, message: Any) -> None:
        # A refusal of the server is shown to the user, and so is its end; a policy that forbids something is a fault.
        if message.type == "error" and not any(text in message.text for text in self.no_troubles):
            self.troubles.append(message.text)

    def open(self, address: str) -> None:
        """Go there and wait until the page is ready."""
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready]")

    def tab(self, name: str) -> None:
        """Open a part of the page."""
        self.page.get_by_role("navigation").get_by_role("button", name=name).click()

    def wait_for_case(self, case: str) -> None:
        """Wait until a case is on the screen."""
        self.page.wait_for_selector(f"body[data-case='{case}']")
        self.until("document.querySelector('#loading').hidden")

    def wait_until_shown(self) -> None:
        """Wait until the mask on the screen is the newest one: nothing older can be accepted."""
        self.page.get_by_role("button", name="Accept (A)", disabled=False).wait_for()

    def until(self, expression: str) -> None:
        """Wait until an expression is true; Playwright's own way is forbidden by the page's policy."""
        for _ in range(MOST_LOOKS):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"never became true: {expression}; {self.troubles}")

    def wait_for_message(self, text: str) -> None:
        """Wait until a sentence is shown that has this text."""
        self.page.get_by_text(text).first.wait_for()

    def draw(self, *points: tuple[float, float]) -> None:
        """Paint with the pointer, in shares of the images' width and height."""
        mouse, places = self.page.mouse, [self.place(*point) for point in points]
        mouse.move(*places[0])
        mouse.down()
        for place in places[1:]:
            mouse.move(*place, steps=5)
        mouse.up()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where that is on the page."""
        box = self.page.locator("#overlay").bounding_box()
        return box["x"] + box["width"] * x, box["y"] + box["height"] * y

    def press(self, *keys: str) -> None:
        """Press keys one after another."""
        for key in keys:
            self.page.keyboard.press(key)

    def tab_to(self, selector: str) -> None:
        """Press Tab until what a selector means has the focus: whatever cannot be reached so fails."""
        for _ in range(MOST_TABS):
            if self.page.evaluate("(selector) => document.activeElement?.matches(selector) ?? false", selector):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab never came to {selector}")

    def look(self, name: str) -> None:
        """Keep a picture in both themes, and have the accessibility checker look at both."""
        for theme in THEMES:
            self.page.emulate_media(color_scheme=theme)
            self.until(f"document.documentElement.dataset.theme === '{theme}'")
            self.shot(f"{name}-{theme}")
            found = self.findings()
            assert found == [], f"{name}, {theme}: {found}"

    def shot(self, name: str) -> None:
        """Keep a picture, where somebody wants to look at it."""
        folder = os.environ.get("PAGE_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def findings(self) -> list[str]:
        """What the accessibility checker finds that is serious."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
        found = axe.run(self.page).response["violations"]
        grave = [one for one in found if one["impact"] in ("serious", "critical")]
        return [
            f"{one['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
            for one in grave
            for node in one["nodes"]
        ]
