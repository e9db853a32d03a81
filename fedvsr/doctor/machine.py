"""The machine itself: versions, code, device, memory, and what Flower may install on it."""

import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

import psutil
import torch
from packaging.requirements import Requirement

from fedvsr.doctor.finding import Finding, ok, problem, warning
from fedvsr_core import devices
from fedvsr_core.errors import ConfigurationError
from fedvsr_core.flower.code import code_digest, code_folders

_SHOWN = ("torch", "flwr")
NO_INSTALLATION = "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"


def check_software() -> Iterator[Finding]:
    """The versions that this process imports, from where, and whether they are those that are asked for."""
    yield ok(f"Python {sys.version.split()[0]} at {sys.executable}")
    try:
        required = [Requirement(line) for line in requires("fedvsr") or ()]
    except PackageNotFoundError:
        yield problem("fedvsr isn't installed here, only imported", "install it with 'pip install .'")
        return
    for requirement in required:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield problem(f"{requirement.name} isn't installed", f"pip install '{requirement}'")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            yield problem(
                f"{requirement.name} must be {requirement.specifier}, is {installed}",
                f"pip install '{requirement}'",
            )
        elif requirement.name in _SHOWN:
            yield ok(f"{requirement.name} {installed} from {_home_of(requirement.name)}")
    yield ok(f"fedvsr {version('fedvsr')}, code {code_digest()} from {code_folders()[0].parent}")


def check_device(name: str = "auto") -> Finding:
    """The device that is asked for, and its free memory.

    Args:
        name: As in a node's configuration.
    """
    try:
        chosen = devices.choose(name)
    except ConfigurationError as error:
        return problem(str(error), "name another device, or install a torch that fits the driver")
    if chosen.type == "cuda":
        free, total = torch.cuda.mem_get_info(chosen)
        return ok(f"{devices.describe(chosen)}, {free / 2**30:.1f} of {total / 2**30:.1f} GB free")
    if chosen.type == "cpu" and os.path.exists("/dev/nvidia0"):
        remedy = "install a torch with CUDA that fits the driver, or set device to 'cpu' if it is meant so"
        return warning(f"this machine has a GPU, but torch {torch.__version__} doesn't see it", remedy)
    return ok(f"device {chosen.type}, {torch.get_num_threads()} threads")


def check_memory(needed_mb: int) -> Finding:
    """Whether decoded video fits into the memory that is free.

    Args:
        needed_mb: ``memory-mb`` of a node's configuration.
    """
    free_mb = psutil.virtual_memory().available / 2**20
    what = f"{free_mb:.0f} MB of memory are free; decoded video may take {needed_mb} MB of them"
    remedy = "lower memory-mb, and make a clip store with 'fedvsr data prepare', which needs none"
    return ok(what) if needed_mb < free_mb else problem(what, remedy)


def check_runtime_installation() -> Finding:
    """Whether whoever submits a run could have packages installed, as this environment says."""
    if os.environ.get(NO_INSTALLATION) == "1":
        return ok("Flower installs no packages at run time")
    return warning(
        f"{NO_INSTALLATION} isn't 1 in this shell: Flower would install whatever packages a run asks for",
        f"export {NO_INSTALLATION}=1; what 'fedvsr deploy' starts or writes sets it by itself",
    )


def check_process(program: str, home: Path) -> Finding:
    """Whether a program of Flower runs here, and whether it would install packages.

    Args:
        program: Its name, such as ``flower-supernode``.
        home: ``FLWR_HOME`` that it was started with.
    """
    for running in psutil.process_iter(["cmdline", "environ"]):
        environment = running.info["environ"] or {}
        named = any(Path(word).name == program for word in running.info["cmdline"] or ())
        if named and environment.get("FLWR_HOME") == str(home):
            if environment.get(NO_INSTALLATION) == "1":
                return ok(f"{program} runs (process {running.pid}), and installs no packages at run time")
            return problem(
                f"{program} (process {running.pid}) would install whatever packages a run asks for",
                "stop it, and start it with 'fedvsr deploy start' or its unit",
            )
    return warning(
        f"no {program} runs with the home '{home}', as far as this user may see",
        "start it with 'fedvsr deploy start' or its unit",
    )


def _home_of(package: str) -> str:
    spec = find_spec(package)
    return spec.origin.rpartition(os.sep)[0] if spec and spec.origin else "nowhere"
