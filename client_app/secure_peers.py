"""That the public keys of a secure round are those of sites that an operator knows, not the server's."""

from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from client_app.local_data import NodeConfig
from fedvsr_core.errors import ConfigurationError, SecureError
from fedvsr_core.flower import keys


def signed(transcript: bytes, client: str, node_config: NodeConfig) -> bytes:
    """A site's signature of all public keys of a round, by the key that its SuperNode is known by.

    Args:
        transcript: Of the roster, which has the site's own fresh key in it: no signature fits two rounds.
        client: The site's name.
        node_config: `keys.KEY` names the file of its private key.

    Returns:
        The signature, empty where there is no key.

    Raises:
        ConfigurationError: If the file can't be read as a private key.
    """
    if not (path := node_config.get(keys.KEY)):
        return b""
    try:
        private = load_ssh_private_key(Path(str(path)).read_bytes(), None)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            f"'{keys.KEY}' must name a private key in OpenSSH's format, but: {error}"
        ) from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"'{keys.KEY}' must name an ECDSA key, as SuperNodes have")
    return private.sign(_statement(transcript, client), ec.ECDSA(SHA384()))


def check_signatures(transcript: bytes, signatures: Mapping[str, bytes], node_config: NodeConfig) -> None:
    """See that sites which an operator knows have signed the same public keys.

    Args:
        transcript: Of the roster.
        signatures: By the name of the site, of all that are left.
        node_config: `keys.PEERS` names a file with a line for each site, its name and its public key in
            OpenSSH's format; without it, nothing is checked.

    Raises:
        SecureError: If a site isn't in the list, or its signature isn't its key's.
        ConfigurationError: If the list can't be read.
    """
    if not (path := node_config.get(keys.PEERS)):
        return
    peers = read_peers(Path(str(path)))
    for name, signature in signatures.items():
        if name not in peers:
            raise SecureError(f"'{name}' takes part, but '{keys.PEERS}' doesn't list it; add its public key")
        try:
            peers[name].verify(signature, _statement(transcript, name), ec.ECDSA(SHA384()))
        except InvalidSignature as error:
            raise SecureError(
                f"the round's keys aren't signed by '{name}': somebody may sit between the sites; compare its"
                f" key with that of '{keys.PEERS}'"
            ) from error


def read_peers(path: Path) -> dict[str, ec.EllipticCurvePublicKey]:
    """The public keys of a list of peers, by name.

    Raises:
        ConfigurationError: If it can't be read.
    """
    peers: dict[str, ec.EllipticCurvePublicKey] = {}
    try:
        for line in filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())):
            if line.startswith("#"):
                continue
            name, _, words = line.partition(" ")
            public = load_ssh_public_key(words.strip().encode())
            if not isinstance(public, ec.EllipticCurvePublicKey):
                raise ConfigurationError(f"'{path}': the key of '{name}' must be an ECDSA key")
            peers[name] = public
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            f"'{path}' must have a line for each site, its name and its public key, but: {error}"
        ) from error
    return peers


def _statement(transcript: bytes, client: str) -> bytes:
    return b"fedvsr secure roster " + transcript + client.encode()
