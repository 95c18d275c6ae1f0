"""HAProxy: a Lua action that asks the check, and a rule that answers 429.

HAProxy's Lua has an HTTP client of its own since 2.5, which does not block its workers.
"""

from __future__ import annotations

from headway.attach.attachment import Attachment

TOLD = {
    "Retry-After": "txn.headway_retry_after",
    "RateLimit": "txn.headway_limit",
    "RateLimit-Policy": "txn.headway_policy",
    "Headway-Ref": "txn.headway_ref",
}
"""What a refusal tells the client, and the variable that carries it."""


def configuration(attachment: Attachment) -> str:
    """A Lua file and the lines of a frontend. Tried with HAProxy 2.6."""
    attachment.asked_by_check()
    key = '" .. key .. "'
    path = attachment.check_path(key)
    asks_key = (
        "    -- The key is the client's address; put what tells your callers apart in its place.\n"
        "    local key = txn.sf:src()\n"
        if attachment.keyed
        else ""
    )
    taken = ", ".join(f'["{name.lower()}"] = "{variable}"' for name, variable in TOLD.items())
    told = " ".join(f"hdr {name} %[var({variable})]" for name, variable in TOLD.items())
    return f"""\
-- {attachment.contract} behind HAProxy. This part: /etc/haproxy/headway.lua
-- HEADWAY_TOKEN: the token of role gate or operator, in HAProxy's environment.
local token = "Bearer " .. os.getenv("HEADWAY_TOKEN")

core.register_action("headway", {{"http-req"}}, function(txn)
{asks_key}    local answer = core.httpclient():get{{
        url = "http://{attachment.data_plane}{path}",
        headers = {{["authorization"] = {{token}}}},
        timeout = 500
    }}
    if answer and answer.status == 200 then
        txn:set_var("txn.headway", "yes")
        return
    end
    -- No answer is a no: HAProxy refuses, it does not guess.
    local headers = answer and answer.headers or {{}}
    for name, variable in pairs({{{taken}}}) do
        txn:set_var(variable, headers[name] and headers[name][0] or "")
    end
end)

# This part: /etc/haproxy/haproxy.cfg
global
    lua-load /etc/haproxy/headway.lua

frontend web
    bind :8080
    mode http
    timeout client 10s
    http-request lua.headway
    http-request return status 429 {told} unless {{ var(txn.headway) -m str yes }}
    default_backend application

backend application
    mode http
    timeout connect 1s
    timeout server 10s
    server one 127.0.0.1:8000               # your application
"""
