"""nginx: `auth_request`, which asks with GET, knows only 401 and 403 as a no, and turns every other answer into 500.

So the check answers 403 in nginx's dialect, and the snippet makes that a 429. Keep-alive to the data plane wants an
`upstream` block, HTTP/1.1 and an empty `Connection`; without them every request opens a connection.
"""

from __future__ import annotations

from headway.attach.attachment import Attachment


def configuration(attachment: Attachment) -> str:
    """Blocks for `http` and `server`. Tried with nginx 1.22."""
    attachment.asked_by_check()
    path = attachment.check_path("$remote_addr", dialect="nginx")
    name = attachment.contract
    keyed = (
        "\n    # The key is the client's address; put what tells your callers apart in its place.\n"
        if attachment.keyed
        else ""
    )
    return f"""\
# {name} behind nginx.
#
# The token of role gate or operator stands in a file that only nginx's owner reads, as one line of configuration:
#   (umask 077; printf 'proxy_set_header Authorization "Bearer %s";\\n' "$(cat TOKEN_FILE)" > /etc/nginx/headway-token.conf)

# In http:
upstream headway {{
    server {attachment.data_plane};
    keepalive 32;                           # without it every request opens a connection
}}

# In server:
location = /_headway/{name} {{
    internal;{keyed}
    proxy_pass http://headway{path};
    include /etc/nginx/headway-token.conf;
    proxy_method GET;
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_set_header Connection "";
    proxy_http_version 1.1;
    proxy_connect_timeout 100ms;
    proxy_read_timeout 500ms;               # no answer is a 500: nginx refuses, it does not guess
}}

location @headway_refused {{
    add_header Retry-After $headway_retry_after always;
    add_header RateLimit $headway_limit always;
    add_header RateLimit-Policy $headway_policy always;
    add_header Headway-Ref $headway_ref always;
    return 429;
}}

location / {{
    auth_request /_headway/{name};
    auth_request_set $headway_retry_after $upstream_http_retry_after;
    auth_request_set $headway_limit $upstream_http_ratelimit;
    auth_request_set $headway_policy $upstream_http_ratelimit_policy;
    auth_request_set $headway_ref $upstream_http_headway_ref;
    error_page 403 = @headway_refused;      # a 403 of the application itself is not touched by this
    proxy_pass http://127.0.0.1:8000;       # your application
}}
"""
