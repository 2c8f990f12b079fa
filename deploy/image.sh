#!/bin/sh
# Builds the image without a Docker engine and tries it: `deploy/image.sh [WORKDIR]`, as root, with buildah and debootstrap (Debian) and a Rust
# toolchain (rustup). The bases of the Dockerfile are made here: a minimal Debian to run on, the same with compiler and toolchain to
# build on. BUILD_BASE and RUN_BASE name other ones. Prints the image's size beyond its base, and the time until it is ready.
set -eu
cd "$(dirname "$0")/.."
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
trap 'buildah umount "$container" > /dev/null; buildah rm "$container" > /dev/null' EXIT
base_container=$(buildah from "$RUN_BASE")
base_root=$(buildah mount "$base_container")
echo "beyond its base: $(($(du -sk "$root" | cut -f 1) - $(du -sk "$base_root" | cut -f 1))) KiB"
buildah umount "$base_container" > /dev/null
buildah rm "$base_container" > /dev/null
# as the image says: its user, its command
port=18080
start=$(date +%s%3N)
chroot --userspec=65532:65532 "$root" /usr/local/bin/hgq-onnx serve --listen "127.0.0.1:$port" --data /data 2> "$work/log" &
server=$!
while ! chroot --userspec=65532:65532 "$root" /usr/local/bin/hgq-onnx health --url "http://127.0.0.1:$port" > /dev/null 2>&1; do sleep 0.01; done
echo "ready after $(($(date +%s%3N) - start)) ms"
kill $server
