#!/usr/bin/env bash
# Makes sure of Debian packages that tests start for themselves: `tools/debian.sh nginx-light haproxy`.
# Installs what is missing if it may; else says what to install. Nothing is started: tests start their own, on loopback.
set -euo pipefail

missing=()
for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "these tests need Debian packages that are not here: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

# Whatever is installed must not start a service of its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
