"""Takes the picture of the page in the README: a lesson with its quiz and its tick, in a real browser.

python tools/picture.py [FILE]      needs Chromium, and the client built
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, ViewportSize, sync_playwright

ROOT: Final = Path(__file__).parents[1]
FILE: Final = ROOT / "docs" / "pictures" / "lesson.png"
EMAIL: Final = "ada@tidewater.example"
PASSWORD: Final = "holdfast-demo"  # noqa: S105 - the demonstration's, known to everybody
SIZE: Final[ViewportSize] = {"width": 860, "height": 1062}


@contextmanager
def demo() -> Iterator[str]:
    """The address of a demonstration on a folder of its own, while the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "holdfast", "serve", "--data", folder, "--port", "0", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as portal:
            try:
                text = ""
                for line in portal.stdout or ():
                    text += line
                    if line.startswith("}"):
                        break
                yield str(json.loads(text)["url"])
            finally:
                portal.terminate()


def finish_a_lesson(page: Page, url: str) -> None:
    """Sign in, open a lesson of the demo course, finish it, and wait until it is saved."""
    page.goto(url)
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Reading the tide").click()
    page.get_by_role("link", name="Why the sea moves", exact=True).click()
    page.get_by_role("button", name="Mark as complete").click()
    line = page.get_by_text("Lesson complete, saved on the server.")
    line.wait_for()
    line.evaluate("line => line.scrollIntoView({block: 'end'})")
    page.mouse.wheel(0, 36)
    page.wait_for_timeout(500)  # for the smooth end of the scroll


def main(arguments: list[str]) -> int:
    """Take the picture."""
    target = Path(arguments[0]) if arguments else FILE
    chromium = shutil.which(os.environ.get("HOLDFAST_CHROMIUM", "chromium"))
    if chromium is None:
        print("Chromium is not installed")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    with demo() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=1, color_scheme="light")
        finish_a_lesson(page, url)
        page.screenshot(path=target)
        browser.close()
    print(f"{target}: {target.stat().st_size >> 10} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
