"""APISIX: the `forward-auth` plugin, which hands on only the headers it is told to."""

from __future__ import annotations

from headway.attach.attachment import Attachment


def configuration(attachment: Attachment) -> str:
    """A route. Untested: the text says so."""
    attachment.asked_by_check()
    attachment.needs_no_key("APISIX")
    return f"""\
# {attachment.contract} behind APISIX. Untested: no APISIX was run with it.
# HEADWAY_TOKEN: the token of role gate or operator, in APISIX's environment.
routes:
  - uri: /*
    plugins:
      proxy-rewrite:
        headers:
          set:
            Headway-Authorization: Bearer $ENV://HEADWAY_TOKEN
      forward-auth:
        uri: http://{attachment.data_plane}{attachment.check_path("")}
        request_headers: [Headway-Authorization]
        client_headers: [Retry-After, RateLimit, RateLimit-Policy, Headway-Ref, Content-Type]
        timeout: 500
        status_on_error: 503                # no answer is a no
        keepalive: true
    upstream:
      nodes: {{"127.0.0.1:8000": 1}}          # your application
"""
