"""A site's private key: there, readable by its owner only, of a kind that Flower reads, and registered."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from fedvsr.doctor.finding import Finding, ok, problem, warning
from fedvsr.doctor.registration import is_registered
from fedvsr_core.errors import FederationError

_MAKE = "make a new one with 'ssh-keygen -t ecdsa -b 384 -N \"\" -f KEY', and register its public half"


def check_private_file(path: Path) -> Finding:
    """Whether a secret can be read here, and by nobody else.

    Args:
        path: The file.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return problem(f"'{path}' can't be found: {error.strerror}", "bring it back")
    if not os.access(path, os.R_OK):
        return problem(f"'{path}' can't be read by this user", "give it to the user who runs the process")
    if mode & 0o077:
        return problem(f"'{path}' can be read by others (mode {mode & 0o777:03o})", f"chmod 600 '{path}'")
    return ok(f"'{path}' can be read by its owner only")


def check_node_key(path: Path) -> Finding:
    """Whether Flower can sign with a key.

    Args:
        path: The private key.
    """
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except OSError as error:
        return problem(f"'{path}' can't be read: {error.strerror}", "bring it back")
    except TypeError:  # what cryptography raises
        return problem(f"'{path}' has a passphrase, which nobody could enter", _MAKE)
    except ValueError as error:
        return problem(f"'{path}' isn't a private key in OpenSSH's format: {error}", _MAKE)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return problem(f"'{path}' is of another kind than ECDSA, which Flower needs", _MAKE)
    return ok(f"'{path}' is an ECDSA key ({key.curve.name})")


def check_registration(server: str, authority: Path, key: Path) -> Finding:
    """Whether the server knows a key; no node goes online for that.

    Args:
        server: Address and port.
        authority: Certificate of the authority.
        key: The private key.
    """
    try:
        known = is_registered(server, authority, key)
    except FederationError as error:
        return warning(str(error), "start the SuperNode: its output says what the server makes of the key")
    if known:
        return ok(f"{server} knows the key '{key}'")
    remedy = (
        "let the server's operator register its public half; a key that was unregistered never comes back"
    )
    return problem(f"{server} doesn't know the key '{key}'", remedy)
