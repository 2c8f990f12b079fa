#!/usr/bin/env bash
# fuzz/run.sh [SECONDS] [TARGET …]: builds the fuzzers and runs each for that long (10 s if not told), on one core. Ends with status 1 where
# an input makes a target panic, hang or take too much memory, and prints where the input is.
#
# With any toolchain: coverage comes from flags that stable compilers take, and libFuzzer itself from a crate.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-10}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(onnx npy_npz config proxy checkpoint multipart)
# one that does not end within this is a finding
timeout=20
memory_mb=2048

host=$(rustc -vV | sed -n 's/^host: //p')
# what `cargo fuzz` passes as well; for a target of its own, so that build scripts are left alone
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=4"
RUSTFLAGS=$(echo $RUSTFLAGS)
cargo build --locked --release --target "$host"
mkdir -p artifacts
built=${CARGO_TARGET_DIR:-target}/$host/release

SEEDS=corpus/seeds "$built/seeds" -runs=0 2>artifacts/seeds.log || { cat artifacts/seeds.log; exit 1; }
failed=0
for target in "${targets[@]}"; do
    mkdir -p "corpus/found/$target" "artifacts/$target"
    printf '\n=== %s, %s s\n' "$target" "$seconds"
    # a single thread: libFuzzer counts what one input does
    if ! RAYON_NUM_THREADS=1 "$built/$target" -max_total_time="$seconds" -timeout="$timeout" -rss_limit_mb="$memory_mb" \
        -print_final_stats=1 -artifact_prefix="artifacts/$target/" "corpus/found/$target" "corpus/seeds/$target" \
        >"artifacts/$target.log" 2>&1; then
        failed=1
        tail -n 40 "artifacts/$target.log"
        printf 'FOUND by %s: fuzz/%s\n' "$target" "$(sed -n 's/.*Test unit written to //p' "artifacts/$target.log" | tail -n 1)"
    else
        grep -E 'number_of_executed_units|new_units_added' "artifacts/$target.log"
    fi
done
exit "$failed"
