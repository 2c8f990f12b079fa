//! The service under load, under attack and under the hammer: processes of the program with curl,
//! bare sockets and a browser; its stores, the farm, and `convert --server`.
#![cfg(feature = "serve")]

// these tests use a part of what all share; what nobody uses is found in tests/it
#[allow(dead_code)]
#[path = "../support"]
mod support {
    pub mod browser;
    pub mod files;
    pub mod nats;
    pub mod program;
    pub mod server;
}

mod attacks;
mod browser;
mod client;
mod events;
mod farm;
mod load;
mod no_room;
mod remote;
mod store;
