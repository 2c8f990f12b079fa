//! The connection, and the streams and buckets, which are made if they are not there.

use super::bucket::{self, Bucket, On};
use super::fault::ANSWER;
use super::{names, objects, queue};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions};
use std::path::PathBuf;
use std::time::Duration;

/// Of the layout; another one is refused rather than misread.
const VERSION: &str = "1";
const VERSION_KEY: &str = "version";
/// Time that NATS gets to be there at the start, with a leader for every stream.
const START: Duration = Duration::from_secs(60);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause before a lost connection is tried again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Where NATS is and how it is used.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// `nats://HOST:PORT` or `tls://…`, any of a cluster.
    pub servers: Vec<String>,
    pub credentials: Option<PathBuf>,
    /// Copies of everything in a cluster.
    pub replicas: usize,
    /// Time without a heartbeat after which a job is given to another worker.
    pub ack_wait: Duration,
    /// Folder for files on their way and fetched contents.
    pub scratch: PathBuf,
}

/// All that is in NATS.
pub struct Opened {
    pub client: Client,
    pub context: Context,
    pub queue: jetstream::stream::Stream,
    pub jobs: Bucket,
    pub events: Bucket,
    pub index: Bucket,
    pub files: Bucket,
    pub objects: objects::Objects,
}

/// # Errors
/// A message for the operator. It does not repeat the addresses, which may hold a password.
pub async fn open(options: &NatsOptions) -> Result<Opened, String> {
    let client = connect(options).await?;
    let context = jetstream::ContextBuilder::new().timeout(ANSWER).build(client.clone());
    let until = tokio::time::Instant::now() + START;
    loop {
        match streams(&client, &context, options.replicas).await {
            Ok(opened) => {
                check_version(&opened.index).await?;
                return Ok(opened);
            }
            Err(error) if tokio::time::Instant::now() > until => return Err(format!("JetStream cannot be used: {error}")),
            Err(error) => {
                tracing::warn!(error, "JetStream cannot be used yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connect(options: &NatsOptions) -> Result<Client, String> {
    let until = tokio::time::Instant::now() + START;
    loop {
        let mut connect = ConnectOptions::new()
            .name("hgq-onnx")
            .connection_timeout(ANSWER)
            .request_timeout(Some(ANSWER))
            .reconnect_delay_callback(|tries| (PAUSE * u32::try_from(tries).unwrap_or(u32::MAX).min(8) / 4).min(RECONNECT));
        if let Some(path) = &options.credentials {
            let read = connect.credentials_file(path).await;
            connect = read.map_err(|e| format!("the credentials cannot be read: {}", e.kind()))?;
        }
        match connect.connect(options.servers.clone()).await {
            Ok(client) => return Ok(client),
            Err(error) if tokio::time::Instant::now() > until => return Err(format!("NATS cannot be reached: {}", error.kind())),
            Err(error) => {
                tracing::warn!(error = %error.kind(), "NATS cannot be reached yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn streams(client: &Client, context: &Context, replicas: usize) -> Result<Opened, String> {
    let make = |config: jetstream::stream::Config| async {
        let name = config.name.clone();
        context.get_or_create_stream(config).await.map_err(|e| format!("{name}: {e}"))
    };
    let kv = |name: &'static str| async move {
        Ok::<_, String>(Bucket::new(context.clone(), make(bucket::config(name, replicas)).await?, name))
    };
    let stream = make(objects::config(replicas)).await?;
    let store = context.get_object_store(names::OBJECTS).await.map_err(|e| e.to_string())?;
    Ok(Opened {
        client: client.clone(),
        context: context.clone(),
        queue: make(queue::config(replicas)).await?,
        jobs: kv(names::JOBS).await?,
        events: kv(names::EVENTS).await?,
        index: kv(names::INDEX).await?,
        files: kv(names::FILES).await?,
        objects: objects::Objects::new(store, stream),
    })
}

async fn check_version(index: &Bucket) -> Result<(), String> {
    let text = |e: super::StoreError| e.to_string();
    if index.set(VERSION_KEY, &VERSION, On::Nothing).await.map_err(text)?.is_some() {
        return Ok(());
    }
    let found: Option<String> = index.get(VERSION_KEY).await.map_err(text)?.and_then(|e| e.json().ok());
    match found {
        Some(version) if version == VERSION => Ok(()),
        _ => Err(format!("what is in NATS has another layout than version {VERSION}, which this program reads")),
    }
}
