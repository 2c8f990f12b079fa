#!/bin/sh
# Builds the image without a Docker engine and tries it: `deploy/image.sh [WORKDIR]`, as root, with buildah and debootstrap (Debian), curl and a
# Rust toolchain (rustup). The bases of the Dockerfile are made here: a minimal Debian to run on, the same with compiler and toolchain to
# build on. BUILD_BASE and RUN_BASE name other ones.
#
# Fails where the image is larger beyond its base or slower to start than below, or where a conversion fails with a read-only root file
# system. What it found is in deploy/image.last.
set -eu
cd "$(dirname "$0")/.."
# mounts of a namespace of its own: they end with this script
[ -n "${HGQ_IMAGE_UNSHARED:-}" ] || exec env HGQ_IMAGE_UNSHARED=1 unshare --mount "$0" "$@"
# 60 MB, what a node of a cluster fetches without being noticed, in KiB
largest=58593
# milliseconds until /healthz answers: a scaled service is there before the request that asked for it has given up
latest=100
work=${1:-$(mktemp -d)}
mkdir -p "$work"
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
suite=bookworm
mirror=$(sed -n 's/^URIs: *//p; s/^deb \([^ ]*\) .*/\1/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)

# base NAME PACKAGES: a minimal Debian as image NAME
base() {
    [ -d "$work/$1" ] || debootstrap --variant=minbase --include="$2" "$suite" "$work/$1" "$mirror"
    container=$(buildah from scratch)
    buildah add -q "$container" "$work/$1" / > /dev/null
    [ "$1" != hgq-build-base ] || {
        buildah add -q "$container" "$(rustc --print sysroot)" /usr/local/rust > /dev/null
        # whom this machine trusts: the network may end TLS itself
        buildah copy -q "$container" "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" /etc/ssl/certs/ca-certificates.crt > /dev/null
        buildah config --env PATH=/usr/local/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    }
    buildah commit -q "$container" "$1" > /dev/null
    buildah rm "$container" > /dev/null
}

[ -n "${RUN_BASE:-}" ] || { RUN_BASE=hgq-run-base && base "$RUN_BASE" ca-certificates; }
[ -n "${BUILD_BASE:-}" ] || { BUILD_BASE=hgq-build-base && base "$BUILD_BASE" gcc,g++,libc6-dev,ca-certificates; }
buildah bud -q --format docker --build-arg BUILD_BASE="$BUILD_BASE" --build-arg RUN_BASE="$RUN_BASE" --network host -t hgq-onnx . > /dev/null

container=$(buildah from hgq-onnx)
root=$(buildah mount "$container")
server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true; umount "$root/data" "$root" 2> /dev/null || true
    buildah umount "$container" > /dev/null; buildah rm "$container" > /dev/null' EXIT
base_container=$(buildah from "$RUN_BASE")
base_root=$(buildah mount "$base_container")
size=$(($(du -sk "$root" | cut -f 1) - $(du -sk "$base_root" | cut -f 1)))
buildah umount "$base_container" > /dev/null
buildah rm "$base_container" > /dev/null

# as the image says: its user, its command; everything but the volume is read-only
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o uid=65532,gid=65532 hgq-data "$root/data"
run() { chroot --userspec=65532:65532 "$root" /usr/local/bin/hgq-onnx "$@"; }
url=http://127.0.0.1:18080
start=$(date +%s%3N)
chroot --userspec=65532:65532 "$root" /usr/local/bin/hgq-onnx serve --listen "${url#http://}" --data /data 2> "$work/log" &
server=$!
until run health --url "$url" > /dev/null 2>&1; do
    kill -0 "$server" 2> /dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.01
done
ready=$(($(date +%s%3N) - start))
curl -sS --fail-with-body -F model=@fixtures/digits/digits_mlp.onnx -F calibration=@fixtures/digits/calibration.npz \
    -F train=@fixtures/digits/train.npz -F 'config={"epochs": 2}' -o "$work/proxy.onnx" "$url/v1/convert" \
    || { cat "$work/proxy.onnx" "$work/log" >&2; exit 1; }
kill "$server"
wait "$server" || { echo "the service did not end well" >&2; exit 1; }
server=

commit=$(git describe --always --abbrev=12 --exclude '*' --dirty 2> /dev/null || echo unknown)
tee deploy/image.last << END
date: $(date -u +%Y-%m-%d)
commit: $commit
beyond its base: $size KiB (at most $largest)
ready after: $ready ms (at most $latest)
END
[ "$size" -le "$largest" ] && [ "$ready" -le "$latest" ]
