"""What is optional on this machine: extras, ffmpeg, weights of metrics, the engine and its port."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement

from fedvsr import local_engine
from fedvsr.doctor.finding import Finding, ok, warning
from fedvsr_core.errors import CheckpointError, FederationError, MissingToolError
from fedvsr_core.flower.home import flower_home
from fedvsr_core.metrics.backbones import Net, load_backbone
from fedvsr_core.metrics.vmaf import ffmpeg_version, find_ffmpeg

_FOR_DEVELOPERS = ("docs", "sbom", "test")


def check_extras() -> Iterator[Finding]:
    """Which extras are installed; none must be."""
    try:
        names = metadata("fedvsr").get_all("Provides-Extra") or []
        required = [Requirement(line) for line in requires("fedvsr") or ()]
    except PackageNotFoundError:
        return  # `check_software` says so
    for name in sorted(set(names) - set(_FOR_DEVELOPERS)):
        of_extra = [
            each
            for each in required
            if each.marker
            and each.marker.evaluate({"extra": name})
            and not each.marker.evaluate({"extra": ""})
        ]
        lacking = [each.name for each in of_extra if not _has(each)]
        if lacking:
            yield ok(f"extra '{name}' isn't installed ({', '.join(lacking)}); pip install \"fedvsr[{name}]\"")
        else:
            yield ok(f"extra '{name}' is installed")


def check_tools() -> Iterator[Finding]:
    """What metrics look for: ffmpeg with libvmaf, and weights."""
    try:
        yield ok(f"ffmpeg {ffmpeg_version(find_ffmpeg())} for VMAF")
    except (MissingToolError, OSError) as error:
        yield ok(f"no VMAF here: {error}")
    nets: tuple[tuple[Net, str], ...] = (("alex", "lpips and tlp"), ("vgg", "lpips-vgg and dists"))
    for net, metrics in nets:
        try:
            load_backbone(net)
            yield ok(f"weights for {metrics} are here")
        except MissingToolError as error:
            yield ok(f"no weights for {metrics}: {error}")
        except CheckpointError as error:
            yield warning(str(error), "remove the file, or name another")


def check_engine() -> Iterator[Finding]:
    """The engines of this home, or the port that one would take."""
    engines = local_engine.living()
    for engine in engines:
        yield ok(
            f"an engine runs on port {engine.port} (process {engine.process.pid}); 'fedvsr stop' ends it"
        )
    if not engines:
        try:
            port = local_engine.next_port()
        except FederationError as error:
            yield warning(str(error), "name a free port, or none")
        else:
            yield ok(f"no engine runs; 'fedvsr run' starts one on port {port}, in '{flower_home()}'")


def _has(requirement: Requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False
