//! What deploys the service fits the program: the Dockerfile has every file that its build reads,
//! compose.yaml and the Kubernetes manifests are valid, and what they say of commands, routes,
//! ports and folders is so.
//!
//! The image itself is built by `deploy/image.sh`, which takes a quarter of an hour (`.ci/long`).

mod compose;
mod containers;
mod dockerfile;
mod kubernetes;
mod layers;
mod manifests;
mod processes;

use super::pages::root;
