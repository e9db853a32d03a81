"""How Sphinx makes the site: ``make docs``. Its sources are the pages as they are read in the repository."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from reference_pages import write_pages  # noqa: E402 (found by the path above)

import fedvsr  # noqa: E402

project = "FedVSR"
author = copyright = "The FedVSR developers"
release = version = fedvsr.__version__
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "deploy/README.md",
    "docs/**.md",
]
exclude_patterns = ["build", ".venv", ".git"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block"]
smartquotes = False
"""``--option`` is to be copied as it is typed."""
default_role = "code"
"""Our docstrings name things in single backticks."""
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = True
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
"""Pages may begin below the first level; commands hold placeholders such as <run>."""
html_theme = "furo"
html_title = "FedVSR"
html_show_sourcelink = html_copy_source = False

write_pages(ROOT)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s:#]+)\)")


def without_folders(app: Sphinx, docname: str, source: list[str]) -> None:
    """Leave the words of a link to a folder of the repository, which is no page of the site."""
    page = ROOT / f"{docname}.md"
    source[0] = _LINK.sub(lambda link: link[1] if (page.parent / link[2]).is_dir() else link[0], source[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", without_folders)
