"""Promises: what comes from outside can be printed and written as UTF-8, and is shown as text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedvsr_core.errors import DataError
from fedvsr_core.printable import NAME, printable
from server_app.records.markdown import harmless, table

ANYTHING = st.text(st.characters(exclude_categories=()))


@given(ANYTHING)
def test_whatever_it_is_can_be_printed_and_written(text):
    assert printable(text).isprintable()
    assert printable(text).encode().decode() == printable(text)
    assert printable(printable(text)) == printable(text)


def test_by_hand():
    # A line break, an escape sequence of terminals, an undecodable byte, and a mark that turns the direction.
    assert printable("a\nb\x1b[2Jc\udcff\u202e é") == r"a\nb\x1b[2Jc\udcff\u202e é"


@given(ANYTHING)
def test_an_error_is_lines_that_can_be_printed(text):
    said = str(DataError(f"'{text}' can't be read\n  - 1"))
    assert said.endswith("\n  - 1")
    assert all(line.isprintable() for line in said.split("\n"))


@given(ANYTHING, ANYTHING)
def test_a_table_keeps_its_shape_and_shows_no_html(first, second):
    row = table(["a", "b"], [(first, second)])[-1]
    assert row.isprintable()
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    if "`" not in first + second:
        assert "<" not in row


def test_html_links_and_pictures_are_text():
    assert harmless("<script>x</script> ![p](http://a) [l](javascript:b)") == (
        "&lt;script>x&lt;/script> ![p]\\(http://a) [l]\\(javascript:b)"
    )
    assert harmless("`a < b`") == "`a < b`"


@pytest.mark.parametrize("name", ["north", "partition-12", "a.b_c-D9", "x" * 64])
def test_names_that_clients_may_have(name):
    assert NAME.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "-a", ".a", "a b", "a\n", "a/b", "<b>", "é", "a\udcff", "a|b", "$x$"]
)
def test_names_that_they_may_not(name):
    assert not NAME.fullmatch(name)
