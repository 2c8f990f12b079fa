#!/bin/sh
# Every table of docs/performance.md: `examples/performance.sh DIR [TABLE…]`, where DIR holds models/ with the files below; tables are steps,
# batch, width, threads, trace, calibration, convert, jobs, service; all without a name. Markdown goes to stdout. Quiet machines give the figures
# that are meant: the minimum of many runs.
set -eu
dir=$1
shift
tables=${*:-steps batch width threads trace calibration convert jobs service}
jets="$dir/models/jet_float/jsc_openml_mlp_16-64-32-32-5_float.onnx"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --release --locked --quiet --examples --bin hgq-onnx
bin=target/release
step="$bin/examples/step_time" trace="$bin/examples/trace_time"

# field NAME LINE: a number out of a JSON line
field() { echo "$2" | sed 's/.*"'"$1"'":\([^,}]*\).*/\1/'; }
# row CELLS…
row() { printf '|'; printf ' %s |' "$@"; echo; }
# head CELLS…
head_() { row "$@"; printf '|'; for _ in "$@"; do printf -- '---|'; done; echo; }

# steps_of LABEL ARGUMENTS: one row of a table of steps
steps_of() {
    label=$1
    shift
    line=$($step "$@")
    row "$label" "$(field ms_step_min "$line")" "$(field ms_step_median "$line")" "$(field gflops "$line")" "$(field fma_peak_percent "$line")" \
        "$(field ns_per_sample_and_mac "$line")"
}
steps_head() { head_ "$1" 'ms (minimum)' 'ms (median)' GFLOP/s '% of FMA peak' 'ns per sample and MAC'; }

# data SAMPLES FILE: float32 noise of 16 values per sample as npy
data() {
    python3 - "$1" "$2" <<'P'
import array, random, sys
n, path = int(sys.argv[1]), sys.argv[2]
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 16), }" % n
header += " " * (-(len(header) + 11) % 64) + "\n"
rng = random.Random(1)
block = array.array("f", (rng.gauss(0, 1) for _ in range(16 * 1000)))
with open(path, "wb") as f:
    f.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    for first in range(0, n, 1000):
        # rows of different samples at the same place differ
        block = block[7:] + block[:7]
        f.write(block[: 16 * min(1000, n - first)].tobytes())
P
}
# wall COMMAND: milliseconds
wall() {
    start=$(date +%s%N)
    "$@" > /dev/null 2>&1
    echo $((($(date +%s%N) - start) / 1000))
}
# least N COMMAND: the least of N walls, in ms with a decimal
least() {
    n=$1 best=
    shift
    for _ in $(seq "$n"); do
        us=$(wall "$@")
        [ -n "$best" ] && [ "$best" -le "$us" ] || best=$us
    done
    echo "$((best / 1000)).$((best / 100 % 10))"
}

for table in $tables; do
    echo "### $table"
    case $table in
        steps)
            steps_head 'training step'
            for threads in 1 2; do
                steps_of "16-64-32-32-5, batch 1024, $threads thread(s)" --net 16,64,32,32,5 --batch 1024 --threads $threads
                steps_of "the same, batch 16384, $threads thread(s)" --net 16,64,32,32,5 --batch 16384 --threads $threads
                steps_of "64-32-32-10, batch 128, $threads thread(s)" --net 64,32,32,10 --batch 128 --threads $threads
                steps_of "MNIST CNN, batch 128, $threads thread(s)" --net cnn --batch 128 --threads $threads
                steps_of "MNIST CNN, batch 512, $threads thread(s)" --net cnn --batch 512 --threads $threads
            done
            ;;
        batch)
            steps_head '16-64-32-32-5, one thread, batch'
            for batch in 128 256 512 1024 4096 16384 65536; do steps_of $batch --net 16,64,32,32,5 --batch $batch; done
            ;;
        width)
            steps_head 'one thread, batch 1024'
            steps_of '16-64-32-32-5' --net 16,64,32,32,5
            steps_of 'twice as wide' --net 32,128,64,64,10
            steps_of 'four times' --net 64,256,128,128,20
            steps_of 'eight times' --net 128,512,256,256,40
            steps_of 'sixteen times' --net 256,1024,512,512,80
            steps_of '64-64-10' --net 64,64,10
            steps_of '64-64-64-64-10' --net 64,64,64,64,10
            steps_of '64 × 8 - 10' --net 64,64,64,64,64,64,64,64,10
            ;;
        threads)
            steps_head '16-64-32-32-5'
            for batch in 256 1024 16384; do
                for threads in 1 2; do
                    steps_of "batch $batch, $threads thread(s)" --net 16,64,32,32,5 --batch $batch --threads $threads
                done
            done
            ;;
        trace)
            head_ 'net' 'what' 'threads' 'samples/s'
            for threads in 1 2; do
                for args in '16,64,32,32,5 --samples 200000' 'cnn --samples 10000' '16,64,32,32,5 --samples 200000 --executor' \
                    'cnn --samples 4000 --executor'; do
                    # shellcheck disable=SC2086
                    line=$($trace --net $args --threads $threads --tries 10)
                    row "$(echo "${args%% *}" | tr , -)" "$(field what "$line" | tr -d '"')" "$threads" "$(field samples_per_s "$line")"
                done
            done
            ;;
        calibration)
            head_ 'samples' 'file' '`hgq-onnx trace`, s' 'µs per sample' 'peak resident, MiB'
            for samples in 1000 10000 100000 1000000 10000000; do
                data $samples "$work/x.npy"
                # the shell's child is the only one to have been waited for
                python3 - $samples "$work/x.npy" "$bin/hgq-onnx" "$jets" <<'P'
import os, resource, subprocess, sys, time
samples, path, tool, model = int(sys.argv[1]), *sys.argv[2:]
start = time.monotonic()
subprocess.run([tool, "trace", model, "--calibration", path, "--json"], check=True, stdout=subprocess.DEVNULL)
seconds = time.monotonic() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"| {samples} | {os.path.getsize(path) / 2**20:.0f} MiB | {seconds:.2f} | {seconds / samples * 1e6:.2f} | {peak:.0f} |")
P
            done
            ;;
        convert)
            data 1000 "$work/x.npy"
            head_ 'from process start' 'ms (minimum of 20)'
            row 'jet tagger, 0 epochs, 1000 samples: until all files are written' \
                "$(least 20 $bin/hgq-onnx convert "$jets" --calibration "$work/x.npy" --epochs 0 --out "$work/out")"
            # one training step is all that is left of the job
            row 'jet tagger, until training has made its first step' \
                "$(least 20 $step --model "$jets" --batch 1000 --steps 1 --first)"
            ;;
        jobs)
            data 20000 "$work/x.npy"
            head_ 'jet tagger, 20000 samples without labels, at most 2000 EBOPs' 'training, s' 'polishing, s' 'all, s'
            for epochs in 20 100 300; do
                us=$(wall $bin/hgq-onnx convert "$jets" --calibration "$work/x.npy" --train "$work/x.npy" --epochs $epochs \
                    --target-ebops 2000 --out "$work/jobs-$epochs")
                report=$(tr -d ' \n' < "$work/jobs-$epochs/report.json" | sed 's/.*"timing"//')
                row "$epochs epochs" "$(field train "$report")" "$(field polish "$report")" "$((us / 1000000)).$((us / 100000 % 10))"
            done
            ;;
        service)
            data 1000 "$work/x.npy"
            port=18181
            $bin/hgq-onnx serve --listen 127.0.0.1:$port --data "$work/jobs" --jobs 4 2> /dev/null &
            server=$!
            until $bin/hgq-onnx health --url http://127.0.0.1:$port > /dev/null 2>&1; do sleep 0.05; done
            head_ '200 conversions of the jet tagger over HTTP' 'jobs/s' 'p50, ms' 'p99, ms'
            for clients in 1 8; do
                python3 - "$port" "$jets" "$work/x.npy" $clients <<'P'
import concurrent.futures, json, sys, time, urllib.request
port, model, data, clients = sys.argv[1], open(sys.argv[2], "rb").read(), open(sys.argv[3], "rb").read(), int(sys.argv[4])
def convert(n):
    # every job is another one: answers from the store would be faster
    config = json.dumps({"epochs": 0, "seed": n + 1000 * clients}).encode()
    parts = [("model", "application/octet-stream", model), ("calibration", "application/octet-stream", data), ("config", "application/json", config)]
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: %s\r\n\r\n%s\r\n' % (name.encode(), name.encode(), kind.encode(), value)
        for name, kind, value in parts
    )
    url = f"http://127.0.0.1:{port}/v1/convert"
    request = urllib.request.Request(url, body + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"})
    start = time.monotonic()
    urllib.request.urlopen(request).read()
    return time.monotonic() - start
convert(-1)
start = time.monotonic()
with concurrent.futures.ThreadPoolExecutor(clients) as pool:
    took = sorted(pool.map(convert, range(200)))
print(f"| {clients} at a time | {200 / (time.monotonic() - start):.1f} | {took[100] * 1e3:.0f} | {took[198] * 1e3:.0f} |")
P
            done
            kill $server
            ;;
        *) echo "no table is called $table" >&2 && exit 2 ;;
    esac
    echo
done
