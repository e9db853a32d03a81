"""The key pair of a site, by which the server knows its SuperNode."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from fedvsr_core.deploy.secret_files import write_once


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
