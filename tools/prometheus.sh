#!/bin/sh
# Puts Prometheus and promtool, of which tests of the page for Prometheus need both, from Debian's or Ubuntu's package into the cache
# folder (90 MB), without installing it, so that no service starts. Points `.prometheus` at the folder with both programs. Safe to repeat.
# Where they cannot be had, it says so in one line, removes `.prometheus`, and the tests are skipped.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${AMDIM_STREAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/amdim-stream}
folder=$cache/prometheus

skip() { # CAUSE
    rm -f "$root/.prometheus"
    echo "setup: tests with Prometheus are skipped: $1" >&2
    exit 0
}

# The package lists of a fresh container are empty; root may fetch them.
download() {
    apt-get download -qq prometheus >/dev/null 2>&1 && return 0
    [ "$(id -u)" = 0 ] && apt-get update -qq >/dev/null 2>&1 && apt-get download -qq prometheus >/dev/null 2>&1
}

command -v apt-get >/dev/null && command -v dpkg >/dev/null || skip "this system has no packages of Debian"
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if ! [ -e "$folder/complete" ]; then
    rm -rf "$folder"
    # apt-get downloads as another user where it can.
    mkdir -p -m 777 "$folder"
    cd "$folder"
    download || skip "apt-get cannot download the package prometheus"
    dpkg -x prometheus_*.deb . || skip "the package prometheus cannot be unpacked"
    rm prometheus_*.deb
    chmod 755 "$folder"
    touch complete
fi
exec 9>&-
ln -sfn "$folder/usr/bin" "$root/.prometheus"
