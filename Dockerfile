# hgq-onnx as a service: docker build -t hgq-onnx . && docker run --rm -p 127.0.0.1:8080:8080 hgq-onnx
# As a command:          docker run --rm -v "$PWD:/data" -w /data -u "$(id -u):$(id -g)" hgq-onnx inspect model.onnx
ARG BUILD_BASE=rust:1.95-slim-bookworm
ARG RUN_BASE=debian:bookworm-slim

FROM ${BUILD_BASE} AS build
WORKDIR /build
# Dependencies change rarely: compiled in a layer of their own, against an empty program.
COPY Cargo.toml Cargo.lock build.rs ./
COPY proto proto
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --locked --profile dist --features farm
COPY src src
# The empty program is newer than the sources copied over it. -s: without symbols.
RUN touch src/main.rs src/lib.rs && cargo build --locked --profile dist --features farm \
    && install -D -s target/dist/hgq-onnx /out/hgq-onnx && install -d /out/data

FROM ${RUN_BASE}
COPY --from=build /out/hgq-onnx /usr/local/bin/hgq-onnx
COPY LICENSE /usr/share/doc/hgq-onnx/LICENSE
# All that the service writes is in this volume: the root file system may be read-only.
COPY --from=build --chown=65532:65532 /out/data /data
VOLUME /data
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s \
    CMD ["/usr/local/bin/hgq-onnx", "health", "--url", "http://127.0.0.1:8080"]
ENTRYPOINT ["/usr/local/bin/hgq-onnx"]
# Inside a container the published port decides who can call.
CMD ["serve", "--listen", "0.0.0.0:8080", "--data", "/data", "--allow-anybody"]
