#!/bin/sh
# Makes ready what tests of pages need: Chromium and Node.js from Debian or Ubuntu (as root; 130 MB), and puppeteer-core and
# axe-core from npm in the cache folder (16 MB). Writes `.browser`, which starts Node.js with both. Safe to repeat. Where
# something cannot be had, it says so in one line, removes `.browser`, and the tests are skipped.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${AMDIM_STREAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/amdim-stream}
packages="puppeteer-core@25.16.0 axe-core@4.14.1"

skip() { # CAUSE
    rm -f "$root/.browser"
    echo "setup: tests of pages in a browser are skipped: $1" >&2
    exit 0
}

find_browser() {
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" && return 0
    done
    return 1
}

missing() {
    find_browser >/dev/null || printf 'chromium fonts-dejavu-core '
    command -v node >/dev/null || printf 'nodejs '
    command -v npm >/dev/null || printf 'npm '
}

install() {
    wanted=$(missing)
    [ -n "$wanted" ] || return 0
    command -v apt-get >/dev/null || skip "there is no $wanted"
    [ "$(id -u)" = 0 ] || skip "there is no $wanted(sudo apt-get install $wanted)"
    echo "setup: installing $wanted" >&2
    # shellcheck disable=SC2086  # a list of packages
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted; } \
        >/dev/null 2>&1 || skip "apt-get cannot install $wanted"
    [ -z "$(missing)" ] || skip "there is no $(missing)"
}

install
browser=$(find_browser)
folder=$cache/browser-$(printf '%s' "$packages" | sha256sum | cut -c1-12)
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if ! [ -e "$folder/complete" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    # shellcheck disable=SC2086  # a list of packages
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" $packages >/dev/null 2>&1 ||
        skip "npm cannot fetch $packages"
    touch "$folder/complete"
fi
exec 9>&-
cat >"$folder/node.partial" <<SH
#!/bin/sh
# Node.js with the packages and the browser of tests.
AMDIM_BROWSER='$browser' AMDIM_BROWSER_PACKAGES='$folder/' exec node "\$@"
SH
chmod 755 "$folder/node.partial"
mv "$folder/node.partial" "$folder/node"
ln -sfn "$folder/node" "$root/.browser"
