"""A site's settings: the one file in which its operator says what the SuperNode may use."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from fedvsr.deploy.hosts import check_address
from fedvsr.deploy.server import Port
from fedvsr.deploy.toml_settings import TomlSettings, toml_line
from fedvsr_core.printable import NAME

Name = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
Address = Annotated[str, AfterValidator(check_address)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$")]


def _can_be_quoted(path: Path) -> Path:
    # It is written into a unit of systemd and on a command line.
    if not path.parts or not str(path).isprintable() or any(letter in str(path) for letter in "\"'%:\\$"):
        raise ValueError(
            "must be a path without quotes, percent signs, colons, dollars, backslashes and what can't be"
            " printed"
        )
    return path


SitePath = Annotated[Path, AfterValidator(_can_be_quoted)]


class Site(TomlSettings):
    """``site.toml``: what a site's SuperNode is, may read and may use.

    Attributes:
        site: The name by which journal, plots and errors call it; each site has its own.
        data_dir: Folder with videos to train on, or a clip store of them; it is read, never written.
        held_out_dir: Folder with videos to score the model on; None: this site doesn't.
        weights_dir: Folder with the site's copies of files that a run starts from, or None.
        memory_dir: Folder for what the client keeps from run to run.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        devices: How many devices of that kind train together, each on its share of every batch.
        workers: Threads that prepare batches ahead.
        memory_mb: How much decoded video may stay in memory.
        code: Digest of the code that may run here, as ``fedvsr code`` prints it; None for any.
        epsilon: Differential privacy of each round of training, or None; see docs/privacy.md.
        delta: The same; None for 1e-5.
        clipping_norm: Largest norm of an update that is sent with noise; None: as the run says.
        server: The server's name or address, and its port.
        ca: Copy of the federation's CA certificate; None only for a try-out without encryption.
        key: The site's private key; None only for a try-out without authentication.
        home: ``FLWR_HOME`` of the SuperNode, of no other process.
        port: The port of the SuperNode's own interface, on loopback only.
    """

    site: Name
    data_dir: SitePath
    held_out_dir: SitePath | None = None
    weights_dir: SitePath | None = None
    memory_dir: SitePath = Path("memory")
    device: Device = "auto"
    devices: int = Field(default=1, ge=1)
    workers: int = Field(default=1, ge=1)
    memory_mb: int = Field(default=2048, ge=1)
    code: Digest | None = None
    epsilon: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    delta: float | None = Field(default=None, gt=0, lt=1)
    clipping_norm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    server: Address
    ca: SitePath | None = None
    key: SitePath | None = None
    home: SitePath = Path("home")
    port: Port = 9094

    @model_validator(mode="before")
    @classmethod
    def _start_from_the_folder(cls, plain: dict[str, Any]) -> dict[str, Any]:
        paths = {"memory-dir": "memory", "home": "home", **plain}
        for key in ("data-dir", "held-out-dir", "weights-dir", "memory-dir", "ca", "key", "home"):
            if isinstance(paths.get(key), str) and paths[key]:
                paths[key] = str(Path(plain["folder"]) / Path(paths[key]).expanduser())
        return paths

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read ``site.toml``, or the one in a folder."""
        return cls.read(path / "site.toml" if path.is_dir() else path)

    @property
    def host(self) -> str:
        """The server's name or address without the port."""
        return self.server.rpartition(":")[0].strip("[]")

    @property
    def path(self) -> Path:
        """The file itself."""
        return self.folder / "site.toml"

    @property
    def unit(self) -> Path:
        """For systemd."""
        return self.folder / f"fedvsr-site-{self.site}.service"

    @property
    def apps(self) -> Path:
        """Where Flower installs the bundles that it receives, and runs what is there already."""
        return self.home / "apps"

    def readable(self) -> list[Path]:
        """The folders that the SuperNode may read and not write."""
        bundles = self.apps if self.code else None  # so nothing but what was installed there can run
        return [path for path in (self.data_dir, self.held_out_dir, self.weights_dir, bundles) if path]

    def node_config(self) -> dict[str, str | int | float]:
        """What the ClientApp gets as node configuration, by the keys of `fedvsr_core.flower.keys`."""
        values = {
            "site": self.site,
            "data-dir": self.data_dir,
            "held-out-dir": self.held_out_dir,
            "weights-dir": self.weights_dir,
            "memory-dir": self.memory_dir,
            "device": self.device,
            "devices": self.devices,
            "workers": self.workers,
            "memory-mb": self.memory_mb,
            "code": self.code,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "clipping-norm": self.clipping_norm,
        }
        return {
            key: value if isinstance(value, int | float) else str(value)
            for key, value in values.items()
            if value is not None
        }


def site_text(name: str, data: Path, server: str, held_out: Path | None) -> str:
    """``site.toml`` of a new site, with a comment on every key."""
    held = toml_line("held-out-dir", str(held_out or "/path/to/other/videos"), "scored on, never trained on")
    lines = [
        "# What this site's SuperNode is, may read and may use. Relative paths start at this file's folder.",
        "# After a change: 'fedvsr deploy site' on this folder writes the unit anew; then restart it.",
        toml_line("site", name, "what journal and plots call it; each site has its own"),
        toml_line("data-dir", str(data), "videos to train on, or a clip store of them; never written"),
        held if held_out else f"# {held}",
        toml_line("device", "auto", "auto, cpu, cuda, cuda:1 or mps"),
        toml_line("devices", 1, "GPUs that train together, each on its share of every batch"),
        toml_line("workers", 1, "threads that prepare batches ahead"),
        toml_line("memory-mb", 2048, "how much decoded video may stay in memory"),
        toml_line(
            "memory-dir", "memory", "what the client keeps from run to run, such as SCAFFOLD's variates"
        ),
        f"# {toml_line('weights-dir', '/path/to/weights', 'copies of the files that a run starts from')}",
        f"# {toml_line('code', '0123456789abcdef', 'code that may run here, and no other: fedvsr code')}",
        "# epsilon = 1.0  # differential privacy of each round, whatever the run says: docs/privacy.md",
        "# delta = 1e-5  # the same",
        "# clipping-norm = 0.1  # largest norm of an update sent with noise; otherwise as the run says",
        "",
        toml_line("server", server, "name or address and port of the proxy"),
        toml_line("ca", "ca.crt", "the federation's CA certificate"),
        toml_line("key", f"{name}.key", "made here; it never leaves this machine"),
        toml_line("home", "home", "of this SuperNode and no other process"),
        toml_line("port", 9094, "its own interface, on loopback only; another one for a second site here"),
    ]
    return "\n".join(lines) + "\n"
