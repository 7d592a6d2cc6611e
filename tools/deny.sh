#!/bin/sh
# Licences, sources, bans, withdrawn versions and known vulnerabilities of all dependencies, by cargo-deny and deny.toml.
# Compiles cargo-deny into the cache folder (see setup.sh), once. Where the database of vulnerabilities cannot be fetched
# all else is checked, and a line says so.
set -eu

version=0.20.2
cache=${AMDIM_STREAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/amdim-stream}
cd "$(dirname "$0")/.."

say() { printf 'deny: %s\n' "$*" >&2; }
fail() { # CAUSE HINT
    printf 'deny: %s\n  hint: %s\n' "$1" "$2" >&2
    exit 1
}

command -v git >/dev/null || fail "no \`git\`, by which the database of vulnerabilities is fetched" "install git and run this again"
folder=$cache/cargo-deny-$version
mkdir -p "$cache" || fail "cannot write to the cache folder \`$cache\`" "set AMDIM_STREAM_CACHE to a folder of yours"
exec 9>"$cache/lock"
flock 9
if ! [ -x "$folder/bin/cargo-deny" ]; then
    say "compiling cargo-deny $version into $folder: a few minutes, once for all checkouts"
    # Without optimization: it is compiled for longer than it runs.
    cargo install --quiet --locked --debug --version "=$version" --root "$folder" --target-dir "$folder/build" cargo-deny ||
        fail "cargo-deny cannot be compiled" "the message above says why"
    rm -rf "$folder/build"
fi
exec 9>&-
PATH=$folder/bin:$PATH

# Which versions were withdrawn is read from what cargo keeps of the index: that is brought up to date, the lock file is not.
cargo update --dry-run --quiet || fail "the index of crates cannot be reached" "check the network, then run this again"

if timeout 300 cargo deny --log-level off fetch db; then
    exec cargo deny --locked check
fi

# cargo-deny looks for withdrawn versions only along with a database: here one with a made-up entry, about no crate.
stand_in=$cache/no-advisories
if ! [ -e "$stand_in/complete" ]; then
    rm -rf "$stand_in"
    mkdir -p "$stand_in/crates/none"
    printf '```toml\n[advisory]\nid = "RUSTSEC-2001-0001"\npackage = "none"\ndate = "2001-01-01"\n\n[versions]\npatched = []\n```\n\n# None\n' \
        >"$stand_in/crates/none/RUSTSEC-2001-0001.md"
    git -C "$stand_in" init --quiet --initial-branch main
    git -C "$stand_in" add crates
    git -C "$stand_in" -c user.name=none -c user.email=none@none commit --quiet --message 'A stand-in'
    touch "$stand_in/complete"
fi
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$stand_in.insteadOf" \
    GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db
config=$(mktemp)
trap 'rm -f "$config"' EXIT
sed "s|^\[advisories\]|&\ndb-path = \"$cache/no-advisories-fetched\"|" deny.toml >"$config"
cargo deny --locked check bans licenses sources
if ! found=$(cargo deny --locked --config "$config" check advisories 2>&1); then
    printf '%s\n' "$found" >&2
    exit 1
fi
say "no dependency was withdrawn. NOT checked for known vulnerabilities: the RustSec database cannot be fetched here"
