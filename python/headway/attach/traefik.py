"""Traefik: `forwardAuth`, which returns a refusal as it came."""

from __future__ import annotations

from headway.attach.attachment import Attachment


def configuration(attachment: Attachment) -> str:
    """A dynamic configuration. Untested: the text says so."""
    attachment.asked_by_check()
    attachment.needs_no_key("Traefik")
    return f"""\
# {attachment.contract} behind Traefik. Untested: no Traefik was run with it.
# HEADWAY_TOKEN: the token of role gate or operator; Traefik's file provider fills it in as a template.
http:
  middlewares:
    headway:
      chain:
        middlewares: [headway-token, headway-check]
    headway-token:
      headers:
        customRequestHeaders:
          Headway-Authorization: 'Bearer {{{{ env "HEADWAY_TOKEN" }}}}'
    headway-check:
      forwardAuth:
        address: http://{attachment.data_plane}{attachment.check_path("")}
        authRequestHeaders: [Headway-Authorization]
  routers:
    application:
      rule: PathPrefix(`/`)
      middlewares: [headway]
      service: application
  services:
    application:
      loadBalancer:
        servers: [{{url: "http://127.0.0.1:8000"}}]   # your application
"""
