#!/bin/sh
# Tests of shards and pipeline, which have the threads and most of the unsafe code, under what finds races and bad accesses:
#
#   tools/sanitize.sh [address] [thread] [memcheck]      all three without arguments
#
# Needs a nightly compiler for the first two (rustup toolchain install nightly), valgrind for the third. Each builds in a
# folder of its own below target/sanitize, and leaves its log there. Fails where a test does, or where there is a report.
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
        fail "no nightly compiler, which sanitizers need" "rustup toolchain install nightly; or, without: tools/sanitize.sh memcheck"
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
    if [ "$passed" = 0 ] || [ "$failed" != 0 ] || [ "$reports" != 0 ]; then is_clean=no; fi
}

# The standard library comes without instrumentation: what it orders by fences, or inside of itself, is not seen. What is
# suppressed for that is in tsan.supp, each with its reason.
sanitizer() { # NAME PATTERN
    check_nightly
    RUSTFLAGS="-Zsanitizer=$1 -Cunsafe-allow-abi-mismatch=sanitizer" TSAN_OPTIONS="suppressions=$PWD/tools/tsan.supp" \
        run_tests "$1" +nightly -p shards -p pipeline --lib --tests
    summarize "$1" "$2"
}

# Helgrind and DRD are of no use: they know pthreads' locks, not the futexes that the standard library waits on.
memcheck() {
    command -v valgrind >/dev/null || fail "no \`valgrind\`" "apt-get install valgrind; or, without: tools/sanitize.sh address thread"
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --log-file=$logs/memcheck.%p" \
        run_tests memcheck +stable -p shards -p pipeline --lib --test stream --test trouble --test formats --test loader
    summarize memcheck '^==[0-9]+== (Invalid|Conditional|Use of|Syscall|Mismatched|Source and|Process term)'
}

[ $# -gt 0 ] || set -- address thread memcheck
for part in "$@"; do
    case $part in
    address) sanitizer address 'ERROR: AddressSanitizer' ;;
    thread) sanitizer thread 'WARNING: ThreadSanitizer' ;;
    memcheck) memcheck ;;
    *) fail "there is no \`$part\`" "address, thread or memcheck" ;;
    esac
done
[ "$is_clean" = yes ]
