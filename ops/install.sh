# shellcheck shell=bash
# install.sh - installs the packages given as arguments; ops/up and ops/test feed it to a root shell.
# Where systemd runs, Debian starts such servers once they are installed and at every boot. A stack and the tests bring
# their own, so they are kept off, if it is us who installs them. What runs already stays.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
guard=/usr/sbin/policy-rc.d
services=()
for name in "$@"; do
    case $name in
    nats-server | redis-server | prometheus | haproxy | docker-registry) services+=("$name") ;;
    bind9) services+=(named) ;;
    esac
done

if ((${#services[@]})) && [[ -d /run/systemd/system && ! -e $guard ]]; then
    trap 'rm -f "$guard"' EXIT
    # shellcheck disable=SC2016  # the $1 is that script's
    printf '#!/bin/sh\ncase $1 in nats-server* | redis-server* | prometheus* | haproxy* | docker-registry* | named*) exit 101 ;; esac\n' >"$guard"
    chmod 755 "$guard"
fi
apt-get -qq update </dev/null
apt-get -qq install --no-install-recommends -y "$@" </dev/null >/dev/null
if ((${#services[@]})) && [[ -d /run/systemd/system ]]; then
    systemctl --quiet disable "${services[@]}"
    echo "Debian's own services ${services[*]} are disabled: a stack and the tests start their own (systemctl enable brings them back)."
fi
