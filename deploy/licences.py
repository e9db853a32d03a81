"""The licences of all that an installation brings, as the packages themselves state them.

``python deploy/licences.py`` prints a line for each, and ends with 1 if one isn't among those allowed.
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ALLOWED = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public License|Zlib|CC0|BSL-1\.0"
    r"|Public Domain)\b",
    re.IGNORECASE,
)
REFUSED = re.compile(r"\bA?GPL|General Public License|Non-?Commercial|\bSSPL\b", re.IGNORECASE)
NVIDIA = ("nvidia-", "cuda-")
"""CUDA's own libraries: proprietary, free to use and to pass on with an application (NVIDIA's CUDA EULA)."""


def closure(requirement: Requirement, known: dict[str, Distribution]) -> None:
    """Add what a requirement brings, if it is installed here; markers decide as pip does."""
    name = canonicalize_name(requirement.name)
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return
    first, known[name] = name not in known, package
    if not first and not requirement.extras:
        return
    for line in package.requires or ():
        needed = Requirement(line)
        extras = requirement.extras or {""}
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
            closure(needed, known)


def licence(package: Distribution) -> str:
    """What a package says: an expression, classifiers, the first line of a text."""
    about = package.metadata
    classifiers = [line for line in about.get_all("Classifier", []) if line.startswith("License ::")]
    said = about.get("License-Expression") or "; ".join(line.rpartition(":: ")[2] for line in classifiers)
    return said or (about.get("License") or "").strip().split("\n")[0]


def main() -> int:
    """Show all, and refuse what isn't allowed."""
    known: dict[str, Distribution] = {}
    closure(Requirement("fedvsr[sample]"), known)
    bad = 0
    for name, package in sorted(known.items()):
        said = licence(package)
        fine = name.startswith(NVIDIA) or (ALLOWED.search(said) and not REFUSED.search(said))
        bad += not fine
        sys.stdout.write(f"{'' if fine else 'NOT ALLOWED  '}{name} {package.version}: {said or 'unstated'}\n")
    return 1 if bad or len(known) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
