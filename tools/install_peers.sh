#!/bin/sh
# Installs the third-party programs that tests and benches run against, as Debian packages, without starting any daemon.
set -eu

packages="sip-tester baresip-core kamailio kamailio-extra-modules rtpengine-daemon nftables iproute2 conntrack
    haproxy postgresql chromium libnss3-tools fonts-dejavu-core gcc libc6-dev python3-dev"
missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "OPX_INSTALL_PEERS=1 needs root to install:$missing" >&2
    exit 1
fi

if ! command -v apt-get >/dev/null; then
    echo "OPX_INSTALL_PEERS=1 needs Debian's apt-get to install:$missing" >&2
    exit 1
fi

# Debian's maintainer scripts ask this file whether they may start a daemon; 101 says no.
policy=/usr/sbin/policy-rc.d
kept=
if [ -e "$policy" ]; then
    kept=$(mktemp)
    cp -p "$policy" "$kept"
fi
restore() {
    if [ -n "$kept" ]; then
        cp -p "$kept" "$policy"
        rm -f "$kept"
    else
        rm -f "$policy"
    fi
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

echo "Installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q -q
# shellcheck disable=SC2086
apt-get install -q -q -y --no-install-recommends $missing >/dev/null
