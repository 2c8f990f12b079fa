//! The service under load, under attack and under the hammer: processes of the program, with curl and bare sockets.
#![cfg(feature = "serve")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../support/server.rs"]
mod server;

mod attacks;
mod client;
mod events;
mod load;
mod no_room;
