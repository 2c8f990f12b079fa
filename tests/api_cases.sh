#!/bin/sh
# Requests made from the service's own description: `tests/api_cases.sh PROGRAM SCHEMATHESIS [CASES]` starts PROGRAM (hgq-onnx) with a token and
# lets schemathesis (PyPI) send CASES generated requests to every route. Fails at any 5xx, undocumented status or wrong content.
set -eu
program=$(realpath "$1")
schemathesis=$(realpath -s "$2")
cases=${3:-500}
data=$(mktemp -d)
"$program" token cases > "$data/token" 2> "$data/tokens"
"$program" serve --listen 127.0.0.1:0 --data "$data/store" --tokens "$data/tokens" --max-rate 0 --max-time 5 2> "$data/log" &
server=$!
trap 'kill $server; rm -rf "$data"' EXIT
while ! grep -q '"address"' "$data/log"; do sleep 0.1; done
# schemathesis leaves files where it runs
cd "$data"
address=$(sed -n 's/.*"address":"\([^"]*\)".*/\1/p' "$data/log" | head -n 1)
"$schemathesis" run "http://$address/openapi.json" -H "Authorization: Bearer $(cat "$data/token")" --max-examples "$cases" \
    --phases examples,coverage,fuzzing --request-timeout 20 \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
# still well
"$program" health --url "http://$address"
grep VmHWM "/proc/$server/status"
