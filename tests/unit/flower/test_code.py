"""Promises: the digest changes with the code that trains, and with nothing else."""

import shutil

import pytest

from fedvsr_core.flower import code


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A copy of the packages that can be changed, looked at afresh."""
    copies = []
    for folder in code.code_folders():
        copies.append(tmp_path / folder.name)
        shutil.copytree(folder, copies[-1], ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "code_folders", lambda: copies)
    return copies


def digest():
    return code.code_digest.__wrapped__()


def test_it_is_computed_over_the_packages_that_train():
    assert [folder.name for folder in code.code_folders()] == list(code.PACKAGES)
    assert all((folder / "__init__.py").is_file() for folder in code.code_folders())


def test_it_is_sixteen_hexadecimal_digits():
    assert len(code.code_digest()) == 16
    assert int(code.code_digest(), 16) >= 0


def test_it_stays_the_same_in_one_process():
    assert code.code_digest() is code.code_digest()


def test_a_copy_elsewhere_has_the_same(folders):
    assert digest() == code.code_digest()


def test_every_byte_counts(folders):
    before = digest()
    (folders[0] / "app.py").write_text((folders[0] / "app.py").read_text() + "\n")
    assert digest() != before


def test_names_count(folders):
    before = digest()
    (folders[0] / "app.py").rename(folders[0] / "other.py")
    assert digest() != before


def test_where_one_file_ends_counts(folders):
    (folders[0] / "x.py").write_text("a")
    (folders[0] / "y.py").write_text("b")
    before = digest()
    (folders[0] / "x.py").write_text("ab")
    (folders[0] / "y.py").write_text("")
    assert digest() != before


def test_what_python_leaves_behind_doesn_t_count(folders):
    before = digest()
    (folders[1] / "__pycache__").mkdir()
    (folders[1] / "__pycache__" / "seeds.cpython-311.pyc").write_bytes(b"compiled")
    (folders[1] / "notes.txt").write_text("notes")
    assert digest() == before
