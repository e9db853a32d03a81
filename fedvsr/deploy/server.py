"""The server's folder: its settings, and where everything in it lies."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from fedvsr.deploy.hosts import bracketed, check_host
from fedvsr.deploy.toml_settings import TomlSettings, toml_line

Host = Annotated[str, AfterValidator(check_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
CONNECTION = "federation"
"""The name of the connection in Flower's ``config.toml``."""


class Server(TomlSettings):
    """``server.toml``: where sites reach the server.

    Attributes:
        hosts: DNS names and IP addresses under which sites reach this machine; the certificate has them.
        port: The port of the proxy, the only one that sites see.
        superlink_port: The port of the SuperLink on loopback, which nobody else may reach.
    """

    hosts: tuple[Host, ...]
    port: Port = 9092
    superlink_port: Port = 9093

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if not self.hosts:
            raise ValueError("hosts must name this machine at least once, as sites write it")
        if self.port == self.superlink_port:
            raise ValueError(f"port and superlink-port must differ, both are {self.port}")
        return self

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Read ``server.toml`` of a folder."""
        return cls.read(folder / "server.toml")

    @property
    def addresses(self) -> list[str]:
        """Where sites reach the server, as they write it."""
        return [f"{bracketed(host)}:{self.port}" for host in self.hosts]

    @property
    def authority_key(self) -> Path:
        """Private key of the authority; needed only to renew the certificate."""
        return self.folder / "ca.key"

    @property
    def authority(self) -> Path:
        """Certificate of the authority, which each site has a copy of."""
        return self.folder / "ca.crt"

    @property
    def key(self) -> Path:
        """The server's private key."""
        return self.folder / "server.key"

    @property
    def certificate(self) -> Path:
        """The server's certificate."""
        return self.folder / "server.crt"

    @property
    def secret(self) -> Path:
        """What the SuperExec and the SuperLink share."""
        return self.folder / "superexec.secret"

    @property
    def proxy_configuration(self) -> Path:
        """For nginx."""
        return self.folder / "nginx.conf"

    @property
    def home(self) -> Path:
        """``FLWR_HOME`` of everything here; holds the connection, and the apps as they were submitted."""
        return self.folder / "home"

    @property
    def database(self) -> Path:
        """What the SuperLink knows, so that it survives a restart."""
        return self.home / "superlink.db"

    @property
    def runs(self) -> Path:
        """``FEDVSR_RUNS``: the run directories."""
        return self.folder / "runs"

    @property
    def units(self) -> Path:
        """For systemd."""
        return self.folder / "systemd"

    @property
    def superlink_address(self) -> str:
        """Where the server's own processes reach the SuperLink."""
        return f"127.0.0.1:{self.superlink_port}"

    def connection(self) -> str:
        """Flower's ``config.toml``."""
        return (
            f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
            f'address = "{self.superlink_address}"\nroot-certificates = "{self.authority}"\n'
        )


def server_text(hosts: Sequence[str], port: int, superlink_port: int) -> str:
    """``server.toml`` of a new server."""
    lines = [
        "# Where sites reach this server. After a change: 'fedvsr deploy server' and 'renew' on this folder,",
        "# then restart.",
        toml_line("hosts", list(hosts), "names and addresses of this machine, as sites write them"),
        toml_line("port", port, "of the proxy, open to the sites"),
        toml_line("superlink-port", superlink_port, "of the SuperLink, on loopback only"),
    ]
    return "\n".join(lines) + "\n"
