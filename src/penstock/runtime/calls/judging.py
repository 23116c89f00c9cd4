"""What the head of a request alone rules out."""

from __future__ import annotations

from penstock import errors
from penstock.core.calls.key import Role
from penstock.core.calls.message import Head
from penstock.core.calls.origin import is_allowed_origin, is_loopback, is_own_host
from penstock.protocols.endpoints import Endpoint
from penstock.runtime.calls.call import Call

MAX_HOST_BYTES = 300
"""No name is longer, with its port."""


def refused_by_head(call: Call, endpoint: Endpoint, head: Head) -> errors.GatewayError | None:
    """Why the call is refused before its body is read; None = it is not."""
    context, caller = call.context, call.caller
    host = head.fields.get(b"host", b"")[:MAX_HOST_BYTES].decode("latin-1")
    if context.checks_host and not is_own_host(host):
        return errors.ForeignHost(host=host)
    if caller.origin is not None and not is_allowed_origin(caller.origin, caller.host, context.allowed_origins):
        return errors.ForeignOrigin(origin=caller.origin)
    if endpoint.methods and head.method not in endpoint.methods:
        allowed, method = b", ".join(endpoint.methods).decode("ascii"), head.method.decode("ascii")
        return errors.MethodNotAllowed(path=call.record.path, allowed=allowed, method=method)
    return _refused_change(call, head) if head.method in endpoint.admin_methods else None


def _refused_change(call: Call, head: Head) -> errors.GatewayError | None:
    """What changes an engine for everybody is for admins; while there are no keys, for this machine."""
    key, path = call.key, call.record.path
    if call.context.keyring.is_open:
        return None if is_loopback(head.client_address) else errors.LoopbackOnly(path=path)
    if key is None or key.may_change:
        return None
    return errors.RoleRequired(path=path, needed=Role.ADMIN.value, key=key.name, role=key.role.value)
