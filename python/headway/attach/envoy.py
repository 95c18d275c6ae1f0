"""Envoy: its rate-limit service over gRPC, or, where the contract is divided among proxies, its quota service. The
descriptor or the bucket is the one that the contract is bound to.

`failure_mode_deny` matters: without it a server that is down, or slower than the time-out, is a yes. So does the
time-out itself, which is 20 ms unless told.
"""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps
from textwrap import indent

from headway.attach.attachment import Attachment, NotAttachable

_PSEUDO = {"method": ":method", "path": ":path", "host": ":authority"}
"""Attributes that HTTP/2 says in fields of its own; Envoy's path has the query with it."""


def configuration(attachment: Attachment) -> str:
    """The filter, the actions of a route and the cluster. Tried with Envoy 1.40."""
    if attachment.measure == "concurrency":
        raise NotAttachable(
            f"{attachment.contract} bounds what is in flight, and Envoy never tells when a request has ended; enforce "
            "it in the application, or bound a rate here"
        )
    if attachment.bucket:
        return _quota(attachment)
    if not attachment.descriptor:
        raise NotAttachable(
            f"{attachment.contract} is not bound to Envoy: write `enforce: {{bind: [{{rls: {{domain: edge, descriptor: "
            "{service: …}}}]}` into the contract"
        )
    actions = [_action(entry, value) for entry, value in attachment.descriptor.items()]
    actions += [_said(name) for name in attachment.attributes if name not in attachment.descriptor]
    return f"""\
# {attachment.contract} behind Envoy. HEADWAY_TOKEN: the token of role gate or operator; Envoy reads no variables, so fill
# it in where it stands:  envsubst < this-file > envoy.yaml  (and keep envoy.yaml to its owner)

# In http_filters of the http_connection_manager, before the router:
- name: envoy.filters.http.ratelimit
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
    domain: {attachment.domain}
    failure_mode_deny: true                 # without it, no answer is a yes
    timeout: 0.1s                           # 20 ms unless told
    rate_limit_service:
      transport_api_version: V3
      grpc_service:
        envoy_grpc: {{cluster_name: headway, authority: headway}}
        initial_metadata:
          - {{key: authorization, value: "Bearer ${{HEADWAY_TOKEN}}"}}

{_after_the_fact(actions) if attachment.post_paid else _at_once(actions)}

{_clusters(attachment)}"""


def _at_once(actions: Sequence[str]) -> str:
    """Limits of a route; each request is charged as one before it passes."""
    return f"""\
# In the route, or its virtual host:
rate_limits:
  - actions:
{indent(chr(10).join(actions), " " * 6)}"""


def _after_the_fact(actions: Sequence[str]) -> str:
    """Limits of the filter for a route: a probe before it passes, and a charge when it is over.

    Envoy sends `hits_addend` for these alone; in the route's own `rate_limits` it drops it.
    """
    told = indent("\n".join(actions), " " * 10)
    return f"""\
# Beside `route:`, or in its virtual host:
typed_per_filter_config:
  envoy.filters.http.ratelimit:
    "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute
    rate_limits:
      - hits_addend: {{number: 0}}            # before: is use within the limit? Nothing is charged
        actions:
{told}
      - apply_on_stream_done: true          # afterwards: what it was
        hits_addend:                        # here the bytes that the application answered; of a refusal there are none
          format: "%UPSTREAM_WIRE_BYTES_RECEIVED%"
        actions:
{told}"""


def _quota(attachment: Attachment) -> str:
    """The filter of the quota service, for every request that meets it; and the cluster. Tried with Envoy 1.40."""
    entries = ", ".join(f"{dumps(name)}: {{string_value: {dumps(value)}}}" for name, value in attachment.bucket.items())
    return f"""\
# {attachment.contract} divided among Envoys. HEADWAY_TOKEN: the token of role gate or operator; Envoy reads no variables, so
# fill it in where it stands:  envsubst < this-file > envoy.yaml  (and keep envoy.yaml to its owner)

# In http_filters of the http_connection_manager, before the router:
- name: envoy.filters.http.rate_limit_quota
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaFilterConfig
    domain: {attachment.domain}
    rlqs_server:
      envoy_grpc: {{cluster_name: headway, authority: headway}}
      initial_metadata:
        - {{key: authorization, value: "Bearer ${{HEADWAY_TOKEN}}"}}
    bucket_matchers:
      on_no_match:                          # the catch-all: a request that met no bucket would be let through, uncounted
        action:
          name: rate_limit_quota
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.rate_limit_quota.v3.RateLimitQuotaBucketSettings
            bucket_id_builder:
              bucket_id_builder: {{{entries}}}
            reporting_interval: 5s          # what Envoy 1.40 does, whatever stands here
            no_assignment_behavior:         # until the first assignment, a tenth of a second away
              fallback_rate_limit: {{blanket_rule: DENY_ALL}}
            expired_assignment_behavior:    # Headway is away for longer than an assignment lives
              fallback_rate_limit: {{blanket_rule: DENY_ALL}}
              expired_assignment_behavior_timeout: 60s
            deny_response_settings:
              http_status: {{code: TooManyRequests}}

{_clusters(attachment)}"""


def _clusters(attachment: Attachment) -> str:
    return f"""\
# In clusters:
- name: headway
  type: STATIC
  connect_timeout: 0.5s
  typed_extension_protocol_options:
    envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
      "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
      explicit_http_config:
        http2_protocol_options:
          connection_keepalive: {{interval: 5s, timeout: 1s}}
  load_assignment:
    cluster_name: headway
    endpoints:
      - lb_endpoints:
          - endpoint: {{address: {{socket_address: {{address: {attachment.host}, port_value: {attachment.port}}}}}}}
"""


def _said(attribute: str) -> str:
    """What a match looks at, from the header that has it; a request without it is asked about all the same."""
    kind, _, name = attribute.partition(".")
    header = name if kind == "header" else _PSEUDO.get(attribute, f"x-{attribute}")
    action = f"- request_headers: {{descriptor_key: {attribute}, header_name: {dumps(header)}, skip_if_absent: true}}"
    return action if attribute in _PSEUDO else f"{action}   # let something in front set it: a client may"


def _action(entry: str, value: str) -> str:
    """A literal entry is said; the key is taken from a header of the entry's name."""
    if value == "each":
        return (
            f"- request_headers: {{descriptor_key: {entry}, header_name: x-{entry}}}"
            f"   # the key; without this header Envoy drops the whole descriptor"
        )
    return f"- generic_key: {{descriptor_key: {entry}, descriptor_value: {value}}}"
