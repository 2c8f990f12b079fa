#!/bin/sh
# What a new user does, with a clock: from a clone of the project to a proxy of a PyTorch network that hls4ml has compiled. Everything is made
# anew in a folder of its own: `examples/first_try.sh [FOLDER]`; the steps are those of docs/getting-started.md, whose scripts it takes from
# there. `CARGO_FLAGS` go to the build. Needs git, Rust, a C and C++ compiler, Python 3. The times of docs/first-try.md are what it prints.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
mkdir -p "$work"
cd "$work"
begin=$(date +%s)

# step WHAT COMMAND…
step() {
    what=$1
    shift
    from=$(date +%s%N)
    "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    awk -v what="$what" -v ns="$(($(date +%s%N) - from))" 'BEGIN { printf "| %s | %.1f |\n", what, ns / 1e9 }'
}

# the script of a page that calls itself NAME
page() { sed -n "/^# $1:/,/^\`\`\`\$/p" clone/docs/getting-started.md | sed '$d' > "$1"; }

verify() {
    cat > check.py <<'P'
import hls4ml, numpy as np, qonnx.core.modelwrapper
model = qonnx.core.modelwrapper.ModelWrapper("out/proxy.onnx")
config = hls4ml.utils.config_from_onnx_model(model, granularity="name", backend="Vitis", default_precision="fixed<32,16>")
hls = hls4ml.converters.convert_from_onnx_model(model, hls_config=config, backend="Vitis", output_dir="hls")
hls.compile()
got = hls.predict(np.load("test.npz")["x"]).reshape(-1)
with np.load("expected.npz") as file:
    expected = np.concatenate([file[name].reshape(-1) for name in file])
assert (got == expected).all(), f"{(got != expected).sum()} of {got.size} values differ"
P
    python/bin/python check.py
}

echo "| step | seconds |"
echo "|---|---|"
step "clone" git clone --quiet "$here" clone
step "build: \`cargo build --release\`" cargo build --quiet --release --locked ${CARGO_FLAGS:-} --manifest-path clone/Cargo.toml
PATH="$work/clone/target/release:$PATH"
step "a Python environment with PyTorch, scikit-learn and hls4ml" sh -c "python3 -m venv python &&
    python/bin/pip install --quiet torch onnx onnxscript scikit-learn hls4ml==1.3.0 qonnx"
page data.py
page export_torch.py
step "data: \`python data.py\`" python/bin/python data.py
step "train and export in PyTorch: \`python export_torch.py\`" python/bin/python export_torch.py
step "\`hgq-onnx inspect torch.onnx\`" hgq-onnx inspect torch.onnx
step "convert: at most 5000 EBOPs, 100 epochs" hgq-onnx convert torch.onnx --calibration calibration.npz --train train.npz \
    --target-ebops 5000 --epochs 100 --out out
step "\`hgq-onnx verify\` on 360 test images" hgq-onnx verify out/proxy.onnx --inputs test.npz --outputs expected.npz
step "hls4ml: convert, compile, 3600 outputs, none differs" verify
echo "| all | $(($(date +%s) - begin)) |"
