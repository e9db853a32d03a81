"""Only a folder that holds the pinned code, that alone, and can't be written to is without a finding."""

import pytest

from fedvsr.doctor import bundles as module
from fedvsr.doctor.bundles import check_bundles
from fedvsr_core.flower.code import digest_of_app


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Makes bundles; returns where they are, and the digest of the first."""
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)

    def install(*texts):
        for text in texts:
            for package in ("client_app", "fedvsr_core"):
                folder = tmp_path / "apps" / f"app.{text}" / package
                folder.mkdir(parents=True)
                (folder / "code.py").write_text(text)
        return tmp_path / "apps", digest_of_app(tmp_path / "apps" / f"app.{texts[0]}")

    return install


def states(findings):
    return [finding.state for finding in findings]


def test_the_pinned_code_alone(installed):
    assert states(check_bundles(*installed("a"))) == ["ok"]


def test_other_code_beside_it(installed):
    (finding,) = check_bundles(*installed("a", "b"))
    assert finding.state == "problem"
    assert "app.b" in finding.what


def test_another_app_beside_it(installed):
    apps, code = installed("a")
    (apps / "stranger").mkdir()
    assert states(check_bundles(apps, code)) == ["problem"]


def test_nothing_is_installed(tmp_path, installed):
    assert states(check_bundles(tmp_path, "0123456789abcdef")) == ["problem"]


def test_no_pin(tmp_path):
    assert states(check_bundles(tmp_path, None)) == ["warning"]


def test_a_folder_that_can_be_written_to(installed, monkeypatch):
    apps, code = installed("a")
    monkeypatch.setattr(module.os, "access", lambda path, mode: True)
    assert states(check_bundles(apps, code)) == ["ok", "warning"]
