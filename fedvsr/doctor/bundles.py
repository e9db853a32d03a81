"""What code can run at a site."""

import os
from collections.abc import Iterator
from pathlib import Path

from fedvsr.doctor.finding import Finding, ok, problem, warning
from fedvsr_core.errors import DataError
from fedvsr_core.flower.code import digest_of_app


def check_bundles(apps: Path, code: str | None) -> Iterator[Finding]:
    """Whether nothing but reviewed code can run.

    Args:
        apps: Where Flower installs the bundles that it receives.
        code: Digest of the code that was reviewed, or None if the site takes any.
    """
    if code is None:
        yield warning(
            "no code is pinned: whoever starts a run at the server chooses what runs here",
            "review a bundle and pin its 'code' in site.toml, see docs/privacy.md",
        )
        return
    installed = {folder.name: _digest(folder) for folder in sorted(apps.glob("*")) if folder.is_dir()}
    if code not in installed.values():
        yield problem(
            f"'{apps}' has no bundle of the pinned code {code}", "fedvsr deploy install SITE BUNDLE"
        )
    if others := [name for name, digest in installed.items() if digest != code]:
        yield problem(f"'{apps}' has other code than the pinned {code}: {', '.join(others)}", "remove it")
    elif installed:
        yield ok(f"'{apps}' has the pinned code {code} and no other")
    if os.access(apps, os.W_OK):
        yield warning(
            f"'{apps}' can be written to by this user: if the SuperNode can, too, other code gets in",
            "let the unit mount it read-only ('fedvsr deploy site' writes it so), or give it to another user",
        )


def _digest(folder: Path) -> str:
    try:
        return digest_of_app(folder)
    except DataError:
        return "another app"
