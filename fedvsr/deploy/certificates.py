"""The authority of a federation and the certificate of its server, by which sites know it."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedvsr.deploy.secret_files import write_once
from fedvsr_core.checkpoints.atomic import write_atomically
from fedvsr_core.errors import ConfigurationError

AUTHORITY_DAYS, SERVER_DAYS = 3650, 365
LOOPBACK = ("localhost", "127.0.0.1")
"""Names under which the server's own processes find each other."""
_EARLIER = timedelta(minutes=5)  # for clocks that differ


def make_authority(key: Path, certificate: Path) -> bool:
    """Make the authority that signs server certificates: EC P-256, ten years.

    Args:
        key: Where its private key goes; readable by its owner only.
        certificate: Where its certificate goes; public, each site gets a copy.

    Returns:
        Whether it was made now; False if it was there already.
    """
    if key.exists():
        return False
    private_key, name = ec.generate_private_key(ec.SECP256R1()), _name("FedVSR federation CA")
    signs = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        _builder(name, name, private_key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signs, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private_key.public_key()), critical=False)
        .sign(private_key, hashes.SHA256())
    )
    _write_key(key, private_key)
    write_once(certificate, made.public_bytes(Encoding.PEM), secret=False)
    return True


def issue(key: Path, certificate: Path, *, authority: tuple[Path, Path], hosts: Sequence[str]) -> None:
    """Issue the server's certificate for a year, anew if there is one; its private key stays what it is.

    Args:
        key: The server's private key, EC P-256; made if it doesn't exist.
        certificate: Where the certificate goes.
        authority: Private key and certificate of the authority.
        hosts: DNS names and IP addresses under which sites reach the server; `LOOPBACK` is added.
    """
    private_key, (signing_key, signer) = _load_key(key), (authority[0], read_certificate(authority[1]))
    if private_key is None:
        private_key = ec.generate_private_key(ec.SECP256R1())
        _write_key(key, private_key)
    signing_private_key = _load_key(signing_key)
    if signing_private_key is None:
        raise ConfigurationError(f"'{signing_key}' must sign the certificate, but is missing; bring it back")
    names = [_alternative(host) for host in dict.fromkeys((*hosts, *LOOPBACK))]
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_private_key.public_key())
    made = (
        _builder(_name(hosts[0]), signer.subject, private_key.public_key(), SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(signing_private_key, hashes.SHA256())
    )
    write_atomically(certificate, made.public_bytes(Encoding.PEM))


def read_certificate(path: Path) -> x509.Certificate:
    """Read a certificate in PEM.

    Raises:
        ConfigurationError: If the file is missing or isn't one.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"'{path}' must be a certificate, but: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"'{path}' must be a certificate in PEM, but: {error}") from error


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """The DNS names and IP addresses that a certificate vouches for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, in pairs of digits, as ``openssl x509 -fingerprint`` shows it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def days_left(certificate: x509.Certificate) -> float:
    """Days until a certificate expires; negative afterwards."""
    return (certificate.not_valid_after_utc - datetime.now(UTC)) / timedelta(days=1)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    if not path.exists():
        return None
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            f"'{path}' must be a private key in PEM without a password, but: {error}; bring it back"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(f"'{path}' must be an elliptic-curve key; move it away to make a new one")
    return key


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_once(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), secret=True)
