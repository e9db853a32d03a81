"""Units of systemd: each process comes back when it fails, and can do no more than its work."""

import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from fedvsr.deploy.processes import QUIET
from fedvsr.deploy.server import Server
from fedvsr.deploy.site import Site
from fedvsr_core.errors import ConfigurationError

_HARDENED = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ProtectHome=tmpfs",
    "PrivateTmp=yes",
    "ProtectProc=invisible",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectControlGroups=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "UMask=0077",
)


_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
"""Names that ``useradd`` takes."""


def check_user(user: str) -> str:
    """A user without privileges, by a name that can't be anything else in a unit.

    Raises:
        ConfigurationError: If it is root, or no name.
    """
    if not _USER.fullmatch(user) or user == "root":
        raise ConfigurationError(
            "--user must be a name of small letters, digits, hyphens and underscores, at most 32, and not"
            f" root, got {user!r:.100}; 'useradd --system fedvsr' makes one"
        )
    return user


def server_units(server: Server, user: str) -> dict[str, str]:
    """The units of the server, by file name.

    Args:
        server: Its settings.
        user: Whom the processes run as.
    """
    descriptions = {
        "superlink": "SuperLink of FedVSR, on loopback",
        "superexec": "ServerApps of FedVSR",
        "proxy": "nginx before the SuperLink of FedVSR, Fleet API only",
    }
    restrictions = {
        # They talk to each other, and the proxy to the sites as well. Runs may fetch weights and test videos.
        "superlink": ("IPAddressDeny=any", "IPAddressAllow=localhost", "PrivateDevices=yes"),
        "superexec": (),  # the ServerApp may score the model on a GPU
        "proxy": ("PrivateDevices=yes", "MemoryDenyWriteExecute=yes"),
    }
    return {
        f"fedvsr-{name}.service": _unit(
            description,
            user=user,
            start=("start", str(server.folder), name),
            writable=[server.folder],
            readable=[],
            more=restrictions[name],
        )
        for name, description in descriptions.items()
    }


def site_unit(site: Site, user: str) -> str:
    """The unit of a site's SuperNode: it reads the data, and reaches the server and nothing else.

    Args:
        site: Its settings.
        user: Whom it runs as; must be allowed to read the data.

    Raises:
        ConfigurationError: If the server's name can't be resolved here.
    """
    try:
        entries = socket.getaddrinfo(site.host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f"the server's name '{site.host}' must resolve, as the site may reach only that address, but:"
            f" {getattr(error, 'strerror', error)}; add it to /etc/hosts, or write the address into"
            f" '{site.path}'"
        ) from error
    addresses = sorted({str(entry[4][0]) for entry in entries})
    return _unit(
        f"SuperNode of FedVSR, site {site.site}",
        user=user,
        start=("start", str(site.path)),
        writable=[site.folder, *{site.home, site.memory_dir, site.audit_dir}],
        readable=site.readable(),
        more=("IPAddressDeny=any", f"IPAddressAllow=localhost {' '.join(addresses)}"),
    )


def _unit(
    description: str,
    *,
    user: str,
    start: Sequence[str],
    writable: Sequence[Path],
    readable: Sequence[Path],
    more: Sequence[str],
) -> str:
    program = Path(sys.executable).parent / "fedvsr"
    python = dict.fromkeys((Path(sys.prefix), Path(sys.base_prefix)))
    lines = [
        "# Made by 'fedvsr deploy', and made anew by it.",
        "[Unit]",
        f"Description={description}",
        "Wants=network-online.target",
        "After=network-online.target",
        "StartLimitIntervalSec=0",  # never give up: the other side may be away for days
        "",
        "[Service]",
        f"User={user}",
        f"ExecStart={_quoted(program, 'deploy', *start)}",
        *(f"Environment={name}={value}" for name, value in QUIET.items()),
        "Restart=always",
        "RestartSec=5",
        "TimeoutStopSec=30",
        "",
        *_HARDENED,
        *more,
        f"BindReadOnlyPaths={_quoted(*python, *readable)}",
        f"BindPaths={_quoted(*_outermost(writable))}",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _quoted(*parts: object) -> str:
    return " ".join(f'"{word}"' if " " in str(word) else str(word) for word in parts)


def _outermost(folders: Sequence[Path]) -> list[Path]:
    return [folder for folder in folders if not any(other in folder.parents for other in folders)]
