"""Puts the browser client into the wheel: built with npm if it is missing, and never left out in silence."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CLIENT = Path("src/holdfast/web/client/index.html")


class ClientMissingError(Exception):
    """The wheel would hold no client. The person who builds it has to act."""


class ClientBuildHook(BuildHookInterface[Any]):
    """Runs before a wheel is packed."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatchling's signature
        """Make sure the client is there.

        Args:
            version: "standard", or "editable". An editable install needs no Node: a developer
                builds the client with make, and the server runs without it until then.
            build_data: what hatchling will pack; the client is named there by `artifacts`.

        """
        if version != "editable":
            build_client(Path(self.root))


def build_client(root: Path) -> None:
    """Build the client under `root` unless it is there.

    Raises:
        ClientMissingError: npm is absent, failed, or left no client.

    """
    client = root / CLIENT
    if client.exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        message = "The browser client is not built, and npm is not installed. Install Node 20.19 or newer."
        raise ClientMissingError(message)
    for arguments in (["ci", "--no-audit", "--no-fund"], ["run", "build"]):
        done = subprocess.run([npm, *arguments], cwd=root / "browser", check=False)
        if done.returncode != 0:
            raise ClientMissingError(f"npm {arguments[0]} failed in browser/, exit code {done.returncode}.")
    if not client.exists():
        raise ClientMissingError(f"npm run build ended well but left no {CLIENT}.")
