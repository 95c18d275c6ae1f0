"""Caddy: `forward_auth`, which asks with GET and hands a refusal to the client as it came."""

from __future__ import annotations

from headway.attach.attachment import Attachment


def configuration(attachment: Attachment) -> str:
    """A site block of a Caddyfile. Tried with Caddy 2.6."""
    attachment.asked_by_check()
    path = attachment.check_path("{remote_host}")
    keyed = (
        "    # The key is the client's address; put what tells your callers apart in its place.\n"
        if attachment.keyed
        else ""
    )
    return f"""\
# {attachment.contract} behind Caddy. HEADWAY_TOKEN: the token of role gate or operator, in Caddy's environment.
:8080 {{
{keyed}    forward_auth {attachment.data_plane} {{
        uri {path}
        header_up Authorization "Bearer {{$HEADWAY_TOKEN}}"
        transport http {{
            dial_timeout 100ms
            response_header_timeout 500ms   # no answer is a 502: Caddy refuses, it does not guess
            keepalive 60s
        }}
    }}
    reverse_proxy 127.0.0.1:8000            # your application
}}
"""
