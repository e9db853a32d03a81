"""``fedvsr deploy``: make and start what a federation of separate machines needs."""

import secrets
import shlex
import shutil
import socket
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from fedvsr import engine
from fedvsr.deploy import processes
from fedvsr.deploy.certificates import (
    days_left,
    fingerprint,
    hosts_of,
    issue,
    make_authority,
    read_certificate,
)
from fedvsr.deploy.node_keys import fingerprint as key_fingerprint
from fedvsr.deploy.node_keys import make_node_key
from fedvsr.deploy.proxy import nginx_configuration
from fedvsr.deploy.secret_files import write_once
from fedvsr.deploy.server import CONNECTION, Server, server_text
from fedvsr.deploy.site import Site, site_text
from fedvsr.deploy.units import check_user, server_units, site_unit
from fedvsr_core.errors import ConfigurationError, FederationError
from fedvsr_core.flower.code import digest_of_app
from fedvsr_core.printable import NAME

app = typer.Typer(
    add_completion=False,
    help="Make and start what a federation of separate machines needs; deploy/README.md walks through it.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(help="Folder of the server, or of the site.")]
User = Annotated[
    str, typer.Option(help="Whom the units run the processes as; not root.", callback=check_user)
]


@app.command("server")
def server_command(
    folder: Folder,
    host: Annotated[
        list[str] | None, typer.Option(help="Name or address of this machine, as sites write it; repeat.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the proxy, which sites reach.")] = 9092,
    superlink_port: Annotated[int, typer.Option(help="Port of the SuperLink, on loopback.")] = 9093,
    user: User = "fedvsr",
) -> None:
    """Make CA, certificate, secret, nginx configuration and units of a server.

    Called again, it makes what is missing and writes configuration and units anew from server.toml; keys
    stay.
    """
    folder = _plain_folder(folder)
    path = folder / "server.toml"
    if not path.exists():
        if not host:
            raise ConfigurationError(
                "a new server needs at least one --host, the name that sites reach it by"
            )
        text = server_text(host, port, superlink_port)
        Server.parse(text, path)
        path.write_text(text)
    server = Server.of(folder)
    if host and set(host) != set(server.hosts):
        raise ConfigurationError(
            f"'{path}' already names the hosts {', '.join(server.hosts)}, not {', '.join(host)}; edit it,"
            f" then run 'fedvsr deploy renew {folder}'"
        )
    make_authority(server.authority_key, server.authority)
    if not server.secret.exists():
        write_once(server.secret, secrets.token_urlsafe(48).encode(), secret=True)
    if not server.certificate.exists():
        _issue(server)
    for made in (server.home, server.runs, server.units, server.folder / "proxy"):
        made.mkdir(mode=0o700, exist_ok=True)
    (server.home / "config.toml").write_text(server.connection())
    server.proxy_configuration.write_text(nginx_configuration(server))
    for name, unit in server_units(server, user).items():
        (server.units / name).write_text(unit)
    typer.echo(f"server in {folder}, for sites at {', '.join(server.addresses)}")
    typer.echo(
        f"give each site a copy of {server.authority}, {fingerprint(read_certificate(server.authority))}"
    )
    typer.echo("all else in the folder stays here")


@app.command("site")
def site_command(
    folder: Folder,
    name: Annotated[str, typer.Option(help="The site's name in the federation.")] = "",
    data_dir: Annotated[Path | None, typer.Option(help="Folder with videos to train on.")] = None,
    held_out_dir: Annotated[Path | None, typer.Option(help="Folder with videos to score on.")] = None,
    server: Annotated[str, typer.Option(help="HOST:PORT of the server.")] = "",
    ca: Annotated[
        Path | None, typer.Option(help="The CA certificate that the server's operator sent.")
    ] = None,
    user: User = "fedvsr",
) -> None:
    """Make the key pair, site.toml and the unit of a site.

    Called again, it makes what is missing and writes the unit anew from site.toml; the key stays.
    """
    folder = _plain_folder(folder)
    path = folder / "site.toml"
    if not path.exists():
        if not (name and data_dir and server and ca):
            raise ConfigurationError("a new site needs --name, --data-dir, --server and --ca")
        read_certificate(ca)
        held_out = held_out_dir.absolute() if held_out_dir else None
        text = site_text(name, data_dir.absolute(), server, held_out)
        Site.parse(text, path)
        path.write_text(text)
        if not (folder / "ca.crt").exists():
            shutil.copyfile(ca, folder / "ca.crt")
    site = Site.of(path)
    if site.key is None or site.ca is None:
        raise ConfigurationError(f"'{path}' must name the files of the site's 'key' and 'ca'")
    public = site.key.with_suffix(".pub")
    make_node_key(site.key, public, site.site)
    for made in (site.home, site.apps, site.memory_dir, site.audit_dir):
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    site.unit.write_text(site_unit(site, user))
    typer.echo(f"site '{site.site}' in {folder}; look through {path}")
    typer.echo(f"the federation's CA: {fingerprint(read_certificate(site.ca))}")
    typer.echo(f"send {public} to the operator of the server, {key_fingerprint(public)}")
    typer.echo(f"{site.key} stays here")


@app.command("register")
def register_command(
    folder: Folder,
    public_key: Annotated[Path, typer.Argument(help="The public key that a site sent, such as north.pub.")],
    name: Annotated[
        str, typer.Option(help="The site's name, the only one that this key can use; default: the file's.")
    ] = "",
) -> None:
    """Let a site in: register its public key, under its name, with the running SuperLink."""
    server = Server.of(folder)
    name = name or public_key.stem
    if not NAME.fullmatch(name):
        raise ConfigurationError(f"'{name}' must be a site's name, as in its site.toml; give it with --name")
    typer.echo(f"{public_key}: '{name}', {key_fingerprint(public_key)}")
    if not _listens(server.superlink_port):
        raise FederationError(
            f"no SuperLink listens on port {server.superlink_port}, so '{public_key}' isn't registered; start"
            f" it with 'systemctl start fedvsr-superlink' or 'fedvsr deploy start {folder} superlink', then"
            " repeat this"
        )
    words = ("supernode", "register", str(public_key.resolve()), CONNECTION, "--name", name)
    if engine.flwr(*words, home=server.home):
        raise FederationError(
            f"'{public_key}' isn't registered; if the key is in use, it is registered already, or was once"
            " removed: then the site makes a new one"
        )


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


@app.command("install")
def install_command(
    folder: Folder,
    bundle: Annotated[Path, typer.Argument(help="The bundle that 'flwr build' has made of reviewed code.")],
) -> None:
    """Install the only bundle that may run at a site; its code must be that of site.toml."""
    site = Site.of(folder)
    digest = digest_of_app(bundle)
    if site.code != digest:
        raise ConfigurationError(
            f"'{site.path}' must pin the code of '{bundle}', {digest}, but has {site.code or 'none'}; review"
            f" it, write code = \"{digest}\", and run 'fedvsr deploy site {folder}' for the new unit"
        )
    if engine.flwr("install", str(bundle.resolve()), home=site.home):
        raise FederationError(f"'{bundle}' can't be installed into '{site.apps}'; stop the SuperNode first")


@app.command("renew")
def renew_command(folder: Folder) -> None:
    """Issue the server's certificate for another year, for the hosts of server.toml; then restart."""
    server = Server.of(folder)
    _issue(server)
    typer.echo("restart the proxy and the SuperLink; the sites need nothing new")


@app.command("start")
def start_command(
    path: Annotated[Path, typer.Argument(help="Folder of the server, or site.toml of a site.")],
    process: Annotated[
        str, typer.Argument(help="superlink, superexec or proxy of a server; nothing for a site.")
    ] = "",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Neither encryption nor authentication; for one machine.")
    ] = False,
) -> None:
    """Become a process of the federation, in the foreground, as its unit does."""
    if process:
        if process not in processes.SERVER_PROCESSES:
            raise ConfigurationError(
                f"'{process}' must be one of {', '.join(processes.SERVER_PROCESSES)}; a site has none of them"
            )
        chosen = processes.SERVER_PROCESSES[process](Server.of(path))
    else:
        if insecure:
            typer.echo(
                "WARNING: no encryption and no authentication: everyone on the way to the server can read and"
                " change what is sent. For a try-out on one machine only.",
                err=True,
            )
        chosen = processes.supernode(Site.of(path), insecure=insecure)
    typer.echo(f"starting {shlex.join(chosen.command)}", err=True)
    chosen.replace()


def _issue(server: Server) -> None:
    authority = (server.authority_key, server.authority)
    issue(server.key, server.certificate, authority=authority, hosts=server.hosts)
    made = read_certificate(server.certificate)
    typer.echo(f"certificate for {', '.join(hosts_of(made))}, valid for {days_left(made):.0f} days")


def _plain_folder(folder: Path) -> Path:
    """Make the folder; its path must be one that needs no quotes in any of the files."""
    folder = folder.absolute()
    if not all(letter.isalnum() or letter in "/._-" for letter in str(folder)):
        raise ConfigurationError(
            f"'{folder}' must have only letters, digits, dots, hyphens and underscores; choose another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder
