#!/bin/sh
# Tests of shards and pipeline, which have the threads and most of the unsafe code, under what finds races and bad accesses:
#
#   tools/sanitize.sh [address] [thread]      both without arguments
#
# Needs a nightly compiler (rustup toolchain install nightly). Each builds in a folder of its own below target/sanitize, and
# leaves its log there. Fails where a test does, or where there is a report.
set -eu

cd "$(dirname "$0")/.."
host=x86_64-unknown-linux-gnu
logs=$PWD/target/sanitize
mkdir -p "$logs"

say() { printf 'sanitize: %s\n' "$*" >&2; }
fail() { # CAUSE HINT
    printf 'sanitize: %s\n  hint: %s\n' "$1" "$2" >&2
    exit 1
}

check_nightly() {
    cargo +nightly --version >/dev/null 2>&1 ||
        fail "no nightly compiler, which sanitizers need" "rustup toolchain install nightly"
}

run_tests() { # NAME TOOLCHAIN ARGUMENTS
    name=$1 toolchain=$2
    shift 2
    rm -f "$logs/$name".*
    # A test that fails is counted below, with the others.
    cargo "$toolchain" test --locked --target "$host" --target-dir "$logs/$name" --no-fail-fast "$@" >"$logs/$name.log" 2>&1 || true
}

count() { # WORD NAME: the tests that passed or failed, by the lines in which test programs sum up
    sed -n "s/^test result: .* \([0-9]*\) $1[;.].*/\1/p" "$logs/$2.log" | awk '{ sum += $1 } END { print sum + 0 }'
}

is_clean=yes
summarize() { # NAME PATTERN: of a report's first line
    passed=$(count passed "$1") failed=$(count failed "$1")
    reports=$(cat "$logs/$1".* | grep -cE "$2" || true)
    say "$1: $passed tests passed, $failed failed, $reports reports; target/sanitize/$1.log"
    # A program that was ended counts no tests; cargo says so.
    if [ "$passed" = 0 ] || [ "$failed" != 0 ] || [ "$reports" != 0 ] || grep -q '^error:' "$logs/$1.log"; then is_clean=no; fi
}

# Without loom's models, whose threads are none to a sanitizer.
address() {
    check_nightly
    RUSTFLAGS="-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer" \
        run_tests address +nightly -p shards -p pipeline --lib --tests -- --skip models::
    summarize address 'ERROR: AddressSanitizer'
}

# The standard library comes without instrumentation: of a thread that had to wait for a `Mutex` or a `Condvar` it is not
# seen that it has one, and even correct programs get reports. The threads of `pipeline` meet in crossbeam's channels, which
# are instrumented, but for what tsan.supp lists; those of `shards` in tokio and `Mutex`es, of which nothing can be said.
thread() {
    check_nightly
    RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" TSAN_OPTIONS="suppressions=$PWD/tools/tsan.supp" \
        run_tests thread +nightly -p pipeline --lib --tests
    summarize thread 'WARNING: ThreadSanitizer'
}

[ $# -gt 0 ] || set -- address thread
for part in "$@"; do
    case $part in
    address | thread) $part ;;
    *) fail "there is no \`$part\`" "address or thread" ;;
    esac
done
[ "$is_clean" = yes ]
