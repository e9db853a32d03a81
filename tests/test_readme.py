"""Promises: the README's test command is the one that continuous integration runs, word for word."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CI = (ROOT / ".ci" / "run").read_text().splitlines()


def commands(word):
    """The lines of the fenced block under the README's first heading with this word in it."""
    section = re.split(
        rf"^#+ .*\b{word}\b.*$", (ROOT / "README.md").read_text(), maxsplit=1, flags=re.MULTILINE
    )
    assert len(section) == 2, f"README.md has no heading with '{word}'"
    block = re.search(r"^```\w*\n(.*?)^```$", section[1].partition("\n#")[0], re.DOTALL | re.MULTILINE)
    assert block, f"README.md has no fenced block under the heading with '{word}'"
    return block[1].splitlines()


def test_ci_runs_the_command_that_the_readme_gives_for_the_tests():
    lines = commands("Test")
    assert lines
    for line in lines:
        # A failing list ends .ci/run by "|| exit"; but for that, the line is the README's.
        assert line in [step.removesuffix(" || exit") for step in CI], f"'{line}' isn't a line of .ci/run"


def test_the_command_installs_what_the_tests_need():
    assert any("[test]" in line for line in commands("Test"))
    assert any("pytest" in line for line in commands("Test"))


def test_both_commands_stand_on_the_first_screen():
    first_screen = (ROOT / "README.md").read_text().splitlines()[:50]
    for line in commands("Run") + commands("Test"):
        assert line in first_screen, line


def test_the_first_command_needs_no_environment_variable_and_installs_nothing_twice():
    [line] = commands("Run")
    assert line.endswith("&& fedvsr run")
    assert "FLWR_" not in line


@pytest.mark.parametrize("word", ["Run", "Test"])
def test_a_command_is_one_line(word):
    assert len(commands(word)) == 1
