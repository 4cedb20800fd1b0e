"""Builds of the page, as the sources have it and as a later version would be; and deploying them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

BROWSER: Final = Path(__file__).resolve().parents[2] / "browser"
BUILD_S: Final = 180.0
PARTS: Final = ("src", "public", "tools", "index.html", "vite.config.ts", "tsconfig.json", "package.json")


def build(folder: Path, word: tuple[str, str] | None = None, mode: str = "production") -> Path:
    """The client built from a copy of the sources. `word`: what the later version calls otherwise."""
    sources = folder / "sources"
    sources.mkdir(parents=True)
    for part in PARTS:
        at = BROWSER / part
        (shutil.copytree if at.is_dir() else shutil.copy)(at, sources / part)
    (sources / "node_modules").symlink_to(BROWSER / "node_modules")
    if word is not None:
        changed = 0
        for page in (sources / "src" / "pages").rglob("*.tsx"):
            text = page.read_text()
            changed += text.count(word[0])
            page.write_text(text.replace(*word))
        assert changed > 0, f"no page says {word[0]!r}"
    vite = sources / "node_modules" / ".bin" / "vite"
    done = subprocess.run(
        [vite, "build", "--outDir", "../client", "--mode", mode],
        cwd=sources,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "client"


def name_of(client: Path) -> str:
    """The build's name."""
    name: str = json.loads((client / "build.json").read_text())["build"]
    return name


def deploy(client: Path, at: Path) -> None:
    """Serve this build instead of the one before it, whose files are gone then."""
    # Beside it first: who asks meanwhile finds one of the two, whole.
    coming, gone = at.with_name(f"{at.name}-coming"), at.with_name(f"{at.name}-gone")
    shutil.copytree(client, coming)
    if at.exists():
        at.rename(gone)
    coming.rename(at)
    shutil.rmtree(gone, ignore_errors=True)
