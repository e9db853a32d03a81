"""Whether a SuperLink knows a node's key, asked without becoming the node."""

from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fedvsr_core.errors import FederationError

_NO_INTERVAL = 0.0


def is_registered(server: str, authority: Path, key: Path) -> bool:
    """Ask a SuperLink to activate a node, with a heartbeat that it must refuse.

    It looks up the key before it looks at the heartbeat, so its refusal tells whether it knows the key, and
    no node goes online: a SuperNode that runs with the same key isn't disturbed.

    Args:
        server: Address and port.
        authority: Certificate of the authority, in PEM.
        key: The node's private key, ECDSA in OpenSSH's format.

    Raises:
        FederationError: If the answer is neither yes nor no.
    """
    private_key = load_ssh_private_key(key.read_bytes(), password=None)
    if not isinstance(private_key, ec.EllipticCurvePrivateKey):
        raise FederationError(
            f"'{key}' must be an ECDSA key, is {type(private_key).__name__}; make a new one"
        )
    public_half = private_key.public_key()
    signed = NodeAuthHttpInterceptor(private_key, public_half)
    version = RuntimeVersionHttpInterceptor(component_name="SuperNode")
    with FleetHttpClient.from_server_address(
        server, insecure=False, root_certificates=authority.read_bytes(), interceptors=[version, signed]
    ) as client:
        try:
            client.ActivateNode(
                ActivateNodeRequest(
                    public_key=public_key_to_bytes(public_half), heartbeat_interval=_NO_INTERVAL
                )
            )
        except httpx.HTTPStatusError as error:
            said = FlowerError.from_json(error.response.text)
            if said is not None and said.code == ApiErrorCode.FLEET_INVALID_HEARTBEAT_INTERVAL:
                return True
            if said is not None and said.code == ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED:
                return False
            answer = said.message if said is not None else error.response.text[:200]
            raise FederationError(
                f"'{server}' must say whether it knows this key, but answers {error.response.status_code}:"
                f" {answer or 'nothing'}"
            ) from error
        except httpx.TransportError as error:
            raise FederationError(f"'{server}' must answer, but: {error}") from error
    raise FederationError(
        f"'{server}' has taken a heartbeat of no length; it isn't a SuperLink of Flower 1.41"
    )
