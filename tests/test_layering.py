"""Promises: imports point one way, packages import nothing of their own, and importing does nothing."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("client_app", "fedvsr", "fedvsr_core", "server_app")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in FILES]
DROPPED = {"lib", "lib64", "build", "env", "venv", "ENV", "parts", "eggs"}
"""Folders of the root that Flower leaves out of the app bundle without a word."""
KEPT = ("logging.getLogger(__name__)", "ClientApp(", "ServerApp()", "typer.Typer(", "TypeVar(")
"""What a module may make at import and keep."""
COLLECTIONS = (ast.List, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp)


def names(path):
    """Everything a file imports, in functions too, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers_of(*packages):
    """Modules that import any of these."""
    return {
        module
        for module, path in zip(MODULES, FILES, strict=True)
        if any(name.partition(".")[0] in packages for name in names(path))
    }


def below(module, *packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def test_the_files_were_found():
    assert len(FILES) > 60
    assert {"server_app.rounds", "client_app.app", "fedvsr_core.models.recurrent"} <= set(MODULES)
    assert "server_app.rounds" in importers_of("fedvsr_core")


def test_the_core_imports_no_app():
    importers = importers_of("fedvsr", "server_app", "client_app")
    assert [module for module in importers if below(module, "fedvsr_core")] == []


def test_the_apps_do_not_import_each_other():
    assert [module for module in importers_of("server_app") if below(module, "client_app")] == []
    assert [module for module in importers_of("client_app") if below(module, "server_app", "fedvsr")] == []


def test_nothing_that_runs_in_a_federation_imports_what_a_person_uses():
    assert [module for module in importers_of("fedvsr") if not below(module, "fedvsr")] == []


def reached(*roots):
    """Modules of ours that some modules import, in turn, and the packages that they lie in."""
    seen, waiting = set(), list(roots)
    while waiting:
        module = waiting.pop()
        if module in seen or module not in IMPORTS:
            continue
        seen.add(module)
        waiting += [*IMPORTS[module], f"{module.rpartition('.')[0]}.__init__"]
    return seen


IMPORTS = {
    module: {
        candidate
        for name in names(path)
        for candidate in (name, name.rpartition(".")[0], f"{name}.__init__")
        if candidate in MODULES
    }
    for module, path in zip(MODULES, FILES, strict=True)
}
TARGETS = {
    target.rpartition(".")[0]
    for path in (ROOT / "conf").rglob("*.yaml")
    for target in re.findall(r"_target_: *([\w.]+)", path.read_text())
}
"""Modules that the configuration names."""
EXCEPT = {"fedvsr_core.aggregation.__init__", "fedvsr_core.aggregation.weights"}
"""Pure functions with a public name; only the server calls them."""


def test_the_core_is_what_both_run():
    client = reached("client_app.app", *(module for module in TARGETS if not below(module, "server_app")))
    server = reached("server_app.app", *TARGETS)
    core = {module for module in MODULES if below(module, "fedvsr_core")} - {"fedvsr_core.__init__"}
    assert len(core) > 80
    assert core - client == EXCEPT, "what a client can't reach would change every site's digest for nothing"
    assert core <= server, "what only clients run belongs into client_app"


def test_there_are_no_circles():
    for module in MODULES:
        assert module not in set().union(*(reached(other) for other in IMPORTS[module])), module


def test_only_what_talks_to_flower_imports_it():
    allowed = ("fedvsr_core.flower", "fedvsr", "server_app", "client_app")
    assert [module for module in importers_of("flwr") if not below(module, *allowed)] == []


def test_only_the_configuration_imports_hydra():
    assert importers_of("hydra", "omegaconf") == {"server_app.config"}


def test_only_the_server_knows_the_configuration_files():
    importers = [
        module
        for module, path in zip(MODULES, FILES, strict=True)
        if any(below(name, "server_app.config") for name in names(path))
    ]
    assert [module for module in importers if not below(module, "server_app", "fedvsr")] == []


def test_production_code_imports_no_tests():
    assert importers_of("tests", "pytest", "hypothesis", "benchmarks") == set()


PUBLIC = ROOT / "fedvsr" / "__init__.py"
"""Names that scripts use, each imported when it is asked for: tests/unit/fedvsr/test_public_names.py."""
INITS = [path for path in FILES if path.name == "__init__.py" and path != PUBLIC]


@pytest.mark.parametrize("path", INITS, ids=str)
def test_packages_hold_a_docstring_only(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


def test_every_folder_of_code_is_a_package():
    folders = {path.parent for path in FILES}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_flower_drops_no_file_for_its_name():
    assert [path for path in FILES if path.name.startswith("test_") or path.stem.endswith("_test")] == []
    assert [
        folder for folder in DROPPED if (ROOT / folder).is_dir() and list((ROOT / folder).rglob("*.py"))
    ] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_keeps_no_state(path):
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    for statement in tree.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        (target,) = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        name, value = ast.unparse(target), ast.unparse(statement.value)
        if isinstance(statement.value, COLLECTIONS):
            assert name.isupper(), f"'{name}' can change; make it a tuple, or a constant in capitals"
        elif isinstance(statement.value, ast.Call) and not name.isupper():
            assert value.startswith(KEPT), f"'{name}' is made at import: {value}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_calls_nothing(path):
    calls = [
        ast.unparse(statement)
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    ]
    assert [call for call in calls if not call.startswith(("app.command()(", "app.add_typer("))] == []


PROBE = """
import importlib, json, os, random, sys, threading
import cv2, flwr.serverapp, flwr.clientapp, hydra, matplotlib, torch, torchvision, typer  # they do much
import numpy as np

def state():
    return {
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        "folder": os.getcwd(),
        "left": sorted(os.listdir()),
        "environment": sorted(os.environ.items()),
        "random": random.getstate()[1][:3],
        "numpy": np.random.get_state()[1][:3].tolist(),
        "seed": torch.get_rng_state()[:16].tolist(),
        "torch": [torch.get_num_threads(), str(torch.get_default_dtype())],
    }

before = state()
for name in sys.argv[1:]:
    importlib.import_module(name)
after = state()
json.dump({key: (before[key], after[key]) for key in before if before[key] != after[key]}, sys.stderr)
"""


def test_importing_does_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE, *MODULES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert json.loads(done.stderr.splitlines()[-1]) == {}


def test_importing_one_model_imports_no_other(tmp_path):
    models = [module for module in MODULES if below(module, "fedvsr_core.models") and module.count(".") == 2]
    script = "import sys, fedvsr_core.models.recurrent; print(*[n for n in sys.modules if n in sys.argv])"
    done = subprocess.run(
        [sys.executable, "-c", script, *models],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == {"fedvsr_core.models.recurrent", "fedvsr_core.models.contract"}


def test_clients_do_not_load_what_draws():
    code = "import client_app.app, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
