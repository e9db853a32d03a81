"""The key pair of a site, by which the server knows its SuperNode."""

import base64
import hashlib
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_public_key,
)

from fedvsr.deploy.secret_files import write_once
from fedvsr_core.errors import ConfigurationError


def make_node_key(private: Path, public: Path, comment: str) -> bool:
    """Make a pair of ECDSA P-384 keys in OpenSSH's format, without a passphrase, as Flower reads them.

    Args:
        private: Where the private key goes; readable by its owner only.
        public: Where the public key goes, which the server registers.
        comment: What the public key is called, such as the site's name.

    Returns:
        Whether it was made now; False if it was there already.
    """
    if private.exists():
        return False
    key = ec.generate_private_key(ec.SECP384R1())
    write_once(private, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), secret=True)
    words = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    public.write_bytes(words + f" {comment}\n".encode())
    return True


def fingerprint(public: Path) -> str:
    """SHA-256 of a public key, as ``ssh-keygen -l`` shows it.

    Raises:
        ConfigurationError: If the file is missing or holds no public key.
    """
    try:
        words = public.read_bytes()
        load_ssh_public_key(words)
    except OSError as error:
        raise ConfigurationError(f"'{public}' must be a site's public key, but: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            f"'{public}' must be a public key in OpenSSH's format, but: {error}"
        ) from error
    digest = hashlib.sha256(base64.b64decode(words.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
