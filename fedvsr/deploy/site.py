"""A site's settings: the one file in which its operator says what the SuperNode may use."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from fedvsr.deploy.hosts import check_address
from fedvsr.deploy.server import Port
from fedvsr.deploy.toml_settings import TomlSettings, toml_line
from fedvsr_core.printable import NAME

Name = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
Address = Annotated[str, AfterValidator(check_address)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
ClassName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=40)]
Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:[0-9]+)?)$")]


def _can_be_quoted(path: Path) -> Path:
    # It is written into a unit of systemd and on a command line.
    if not path.parts or not str(path).isprintable() or any(letter in str(path) for letter in "\"'%:\\$"):
        raise ValueError(
            "must be a path without quotes, percent signs, colons, dollars, backslashes and what can't be"
            " printed"
        )
    return path


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value  # TOML knows lists only


ClassNames = Annotated[tuple[ClassName, ...], BeforeValidator(_frozen)]
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
        audit_dir: Folder of the record of what is asked and sent.
        least_steps: Steps of the optimiser that a round must have.
        least_windows: Windows that they must see together.
        least_patch: Low-resolution pixels that a crop's side must have.
        most_lr: Largest step size, times the weights of the loss and of the objective together.
        most_eps: Largest ``eps`` of the optimiser.
        most_loss_eps: The same of a part of the loss.
        optimisers: Those that a run may choose, by their classes in ``torch.optim``.
        losses: The same, of ``fedvsr_core.losses``.
        models: The same, of ``fedvsr_core.models``.
        rounds_a_day: Rounds of training that are answered within 24 hours.
        evaluate: Whether models are scored on ``held_out_dir``; None: if there is one.
        secure: Whether updates leave in secure sums alone; see docs/privacy.md.
        peers: List of all sites' public keys, this one's too, by which their part in a secure sum is known;
            or None.
        server: The server's name or address, and its port.
        ca: Copy of the federation's CA certificate; None only for a try-out without encryption.
        key: The site's private key; None only for a try-out without authentication.
        home: ``FLWR_HOME`` of the SuperNode, of no other process.
        port: The port of the SuperNode's own interface, on loopback only.
    """

    site: Name
    data_dir: SitePath
    held_out_dir: SitePath | None = None
    low_dir: SitePath | None = None
    held_out_low_dir: SitePath | None = None
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
    audit_dir: SitePath = Path("audit")
    least_steps: int = Field(default=20, ge=1)
    least_windows: int = Field(default=40, ge=1)
    least_patch: int = Field(default=16, ge=1)
    most_lr: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    most_eps: float = Field(default=1e-6, gt=0, allow_inf_nan=False)
    most_loss_eps: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    optimisers: ClassNames = ("Adam", "AdamW", "SGD")
    losses: ClassNames = ("WeightedSum", "Charbonnier", "HighFrequencyLoss")
    models: ClassNames = ("Recurrent", "BasicVSR", "BasicVSRPlusPlus", "IART", "VRT", "RVRT")
    rounds_a_day: int = Field(default=200, ge=0)
    evaluate: bool | None = None
    secure: bool = False
    peers: SitePath | None = None
    server: Address
    ca: SitePath | None = None
    key: SitePath | None = None
    home: SitePath = Path("home")
    port: Port = 9094

    @model_validator(mode="before")
    @classmethod
    def _start_from_the_folder(cls, plain: dict[str, Any]) -> dict[str, Any]:
        paths = {"memory-dir": "memory", "audit-dir": "audit", "home": "home", **plain}
        for key in (
            "data-dir",
            "held-out-dir",
            "low-dir",
            "held-out-low-dir",
            "weights-dir",
            "memory-dir",
            "audit-dir",
            "peers",
            "ca",
            "key",
            "home",
        ):
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
        videos = (self.data_dir, self.held_out_dir, self.low_dir, self.held_out_low_dir)
        return [path for path in (*videos, self.weights_dir, self.peers, bundles) if path]

    def node_config(self) -> dict[str, str | int | float]:
        """What the ClientApp gets as node configuration, by the keys of `fedvsr_core.flower.keys`."""
        values = {
            "site": self.site,
            "data-dir": self.data_dir,
            "held-out-dir": self.held_out_dir,
            "low-dir": self.low_dir,
            "held-out-low-dir": self.held_out_low_dir,
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
            "audit-dir": self.audit_dir,
            "least-steps": self.least_steps,
            "least-windows": self.least_windows,
            "least-patch": self.least_patch,
            "most-lr": self.most_lr,
            "most-eps": self.most_eps,
            "most-loss-eps": self.most_loss_eps,
            "optimisers": " ".join(self.optimisers),
            "losses": " ".join(self.losses),
            "models": " ".join(self.models),
            "rounds-a-day": self.rounds_a_day,
            "evaluate": bool(self.held_out_dir) if self.evaluate is None else self.evaluate,
            "secure": self.secure,
            "peers": self.peers,
            "key": self.key,
        }
        return {
            key: value if isinstance(value, int | float) else str(value)
            for key, value in values.items()
            if value is not None
        }


_LIMITS = {
    "least-steps": "of the optimiser in a round",
    "least-windows": "that the steps of a round see together",
    "least-patch": "low-resolution pixels of a crop's side",
    "most-lr": "step size, times the weights of the loss and of the objective together",
    "most-eps": "of the optimiser",
    "most-loss-eps": "of a part of the loss",
    "optimisers": "of torch.optim",
    "losses": "of fedvsr_core.losses",
    "models": "of fedvsr_core.models",
    "rounds-a-day": "of training; it scores as many",
}
"""The limits with their comments."""


def site_text(name: str, data: Path, server: str, held_out: Path | None) -> str:
    """``site.toml`` of a new site, with a comment on every key."""
    held = toml_line("held-out-dir", str(held_out or "/path/to/other/videos"), "scored on, never trained on")
    fields = Site.model_fields

    def default(key: str) -> Any:  # noqa: ANN401 (of any field)
        return fields[key.replace("-", "_")].default

    lines = [
        "# What this site's SuperNode is, may read and may use. Relative paths start at this file's folder.",
        "# After a change: 'fedvsr deploy site' on this folder writes the unit anew; then restart it.",
        toml_line("site", name, "what journal and plots call it; each site has its own"),
        toml_line("data-dir", str(data), "videos to train on, or a clip store of them; never written"),
        held if held_out else f"# {held}",
        f"# {toml_line('low-dir', '/path/to/low', 'recordings in low resolution of what is in data-dir')}",
        f"# {toml_line('held-out-low-dir', '/path/to/other/low', 'the same for held-out-dir')}",
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
        "# What a run may ask. More is declined: a word to the server, a sentence here; docs/privacy.md",
        *(toml_line(key, default(key), comment) for key, comment in _LIMITS.items()),
        "# evaluate = false  # score models on held-out-dir; if this isn't given, where there is one",
        toml_line("secure", value=False, comment="true: updates leave in secure sums alone, docs/privacy.md"),
        '# peers = "peers.txt"  # sites that may take part in them: a line each, its name and its public key',
        toml_line("audit-dir", "audit", "the record of what was asked and sent; without it nothing is sent"),
        "",
        toml_line("server", server, "name or address and port of the proxy"),
        toml_line("ca", "ca.crt", "the federation's CA certificate"),
        toml_line("key", f"{name}.key", "made here; it never leaves this machine"),
        toml_line("home", "home", "of this SuperNode and no other process"),
        toml_line("port", 9094, "its own interface, on loopback only; another one for a second site here"),
    ]
    return "\n".join(lines) + "\n"
