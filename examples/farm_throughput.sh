#!/bin/sh
# Throughput of one and of two workers on one NATS: `examples/farm_throughput.sh PROGRAM [JOBS]`, PROGRAM built with the feature farm;
# needs nats-server and curl. Every job is single-threaded and differs in its seed. Prints seconds for all jobs and their ratio.
set -eu
program=$1
jobs=${2:-40}
digits=$(dirname "$0")/../fixtures/digits
work=$(mktemp -d)
pids=
trap 'kill $servers $pids 2>/dev/null; rm -rf "$work"' EXIT
servers=
nats-server -js -a 127.0.0.1 -p 14222 -sd "$work/nats" > "$work/nats.log" 2>&1 &
servers=$!
sleep 1
nats="--nats nats://127.0.0.1:14222"
# shellcheck disable=SC2086
"$program" serve --listen 127.0.0.1:18081 --data "$work/serve" --jobs 0 --max-rate 0 $nats 2> "$work/serve.log" &
servers="$servers $!"
url=http://127.0.0.1:18081
while ! "$program" health --url $url > /dev/null 2>&1; do sleep 0.1; done

# measure WORKERS FIRST_SEED: seconds until all jobs are done
measure() {
    pids=
    for n in $(seq "$1"); do
        # shellcheck disable=SC2086
        "$program" worker --data "$work/worker-$1-$n" $nats 2> "$work/worker-$1-$n.log" &
        pids="$pids $!"
    done
    sleep 2
    start=$(date +%s%3N)
    for seed in $(seq "$2" $(($2 + jobs - 1))); do
        curl -fsS -o "$work/job-$seed" -F model=@"$digits/digits_mlp.onnx" -F calibration=@"$digits/calibration.npz" \
            -F train=@"$digits/train.npz" \
            -F "config={\"epochs\": 300, \"threads\": 1, \"polish\": false, \"target_ebops\": 5000, \"seed\": $seed}" $url/v1/jobs
    done
    for seed in $(seq "$2" $(($2 + jobs - 1))); do
        id=$(sed 's/^{"id":"\([^"]*\)".*/\1/' "$work/job-$seed")
        state=$(curl -fsS "$url/v1/jobs/$id?wait=300s" | sed 's/.*"state":"\([^"]*\)".*/\1/')
        [ "$state" = succeeded ] || { echo "job $id: $state" >&2; exit 1; }
    done
    seconds=$(($(date +%s%3N) - start))
    # shellcheck disable=SC2086
    kill $pids
    # shellcheck disable=SC2086
    wait $pids || true
}

measure 1 1000
one=$seconds
measure 2 2000
two=$seconds
echo "one worker: $one ms, two: $two ms, for $jobs jobs; ratio $(awk "BEGIN { printf \"%.2f\", $one / $two }")"
