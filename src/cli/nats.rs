//! Options of processes that share a store in NATS.

use super::work::Work;
use crate::convert::error::Error;
use crate::service::store::Store;
use crate::service::{NatsOptions, NatsStore};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Nats {
    /// NATS server with JetStream, or several of one cluster: nats://HOST:PORT or tls://HOST:PORT
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub nats: Vec<String>,
    /// File of credentials for NATS (`.creds`)
    #[arg(long, value_name = "FILE", requires = "nats")]
    pub nats_credentials: Option<PathBuf>,
    /// Copies of jobs and files in a cluster of NATS servers, when they are stored for the first
    /// time
    #[arg(long, value_name = "N", default_value_t = 1, requires = "nats", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub nats_replicas: u8,
    /// Time without a sign of life from a worker after which its job is given to another one, in
    /// seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, hide = true, value_parser = clap::value_parser!(u16).range(1..))]
    pub ack_wait: u16,
}

impl Nats {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub async fn open(&self, work: &Work) -> Result<Arc<dyn Store>, Error> {
        let options = NatsOptions {
            servers: self.nats.clone(),
            credentials: self.nats_credentials.clone(),
            replicas: self.nats_replicas.into(),
            ack_wait: Duration::from_secs(self.ack_wait.into()),
            scratch: work.data.clone(),
        };
        let store = NatsStore::open(&options).await.map_err(|e| Error::Config(vec![format!("--nats: {e}")]))?;
        Ok(Arc::new(store))
    }
}
