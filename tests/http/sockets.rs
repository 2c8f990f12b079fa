//! The service on real sockets: clients that leave, that are slow, and the end of the process.

use super::harness::*;
use hgq_onnx::service::store::Store;
use hgq_onnx::service::{Limits, LocalStore, check_address, serve};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A service on a real socket.
struct Served {
    address: SocketAddr,
    fake: Arc<Fake>,
    stop: mpsc::Sender<()>,
    ended: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn served(change: impl FnOnce(&mut Limits)) -> Served {
    let (app, fake) = app(change);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = mpsc::channel(2);
    Served { address, fake, stop, ended: tokio::spawn(serve(listener, app, stopped)) }
}

/// Sends `parts` of a request of `length` bytes.
fn send(address: SocketAddr, length: usize, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let head = format!("POST /v1/convert HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

async fn read(mut stream: TcpStream) -> String {
    // A connection that stays open fails the test instead of holding it up.
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let reader = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("the service ends the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    });
    reader.await.unwrap()
}

fn waiting_job() -> Vec<u8> {
    multipart(&[("model", None, &model(b"wait")), ("calibration", None, &npy(b'c'))])
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_job() {
    let server = served(|l| l.queue = 0).await;
    let body = waiting_job();
    let stream = send(server.address, body.len(), &body);
    until("it runs", || server.fake.waiting.load(Ordering::SeqCst) == 1).await;
    drop(stream);
    until("it is canceled", || server.fake.canceled.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn slow_clients_are_ended() {
    let server = served(|l| {
        l.header_time = Duration::from_millis(50);
        l.read_time = Duration::from_millis(50);
    })
    .await;
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHos").unwrap();
    let head = read(stream).await;
    assert!(!head.contains(" 200 "), "{head}");
    let body = waiting_job();
    let answer = read(send(server.address, body.len(), &body[..40])).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    // Bytes keep coming, but the whole takes too long.
    let server = served(|l| l.body_time = Duration::from_millis(50)).await;
    let answer = read(send(server.address, body.len(), &body[..40])).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("the request did not arrive"), "{answer}");
}

#[tokio::test]
async fn stopping_lets_jobs_finish_and_a_second_signal_gives_them_back() {
    for second in [false, true] {
        let server = served(|l| l.grace = Duration::from_secs(600)).await;
        let body = waiting_job();
        let stream = send(server.address, body.len(), &body);
        until("it runs", || server.fake.waiting.load(Ordering::SeqCst) == 1).await;
        server.stop.send(()).await.unwrap();
        // The listener closes: then nobody gets in any more.
        while TcpStream::connect(server.address).is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if second {
            server.stop.send(()).await.unwrap();
        } else {
            server.fake.open.store(true, Ordering::SeqCst);
        }
        let answer = read(stream).await;
        let expected = if second { "HTTP/1.1 503 " } else { "HTTP/1.1 200 " };
        assert!(answer.starts_with(expected), "{answer}");
        server.ended.await.unwrap().unwrap();
        assert_eq!(server.fake.canceled.load(Ordering::SeqCst), usize::from(second));
    }
}

#[tokio::test]
async fn jobs_that_do_not_finish_in_time_are_given_back_when_stopping() {
    let server = served(|l| l.grace = Duration::from_millis(20)).await;
    let body = waiting_job();
    let stream = send(server.address, body.len(), &body);
    until("it runs", || server.fake.waiting.load(Ordering::SeqCst) == 1).await;
    server.stop.send(()).await.unwrap();
    let answer = read(stream).await;
    assert!(answer.contains("\"code\":\"stopping\"") && answer.contains("\r\nlocation: /v1/jobs/job_"), "{answer}");
    server.ended.await.unwrap().unwrap();
    // whoever opens the store next finds the job waiting
    let dir = server.fake.dir.as_ref().unwrap().path();
    let store = loop {
        match LocalStore::open(dir) {
            Ok(store) => break store,
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    assert_eq!(store.depth().await.unwrap().queued, 1);
}

#[test]
fn only_loopback_without_being_asked() {
    let refused = |a: &str| check_address(a.parse::<SocketAddr>().unwrap(), false, false).err();
    assert_eq!(refused("127.0.0.1:80"), None);
    assert_eq!(refused("[::1]:80"), None);
    assert!(refused("0.0.0.0:80").unwrap().contains("--tokens"));
    assert!(refused("192.168.1.4:80").is_some() && refused("[::]:80").is_some());
    assert!(check_address("0.0.0.0:80".parse().unwrap(), true, false).is_ok());
    assert!(check_address("0.0.0.0:80".parse().unwrap(), false, true).is_ok());
}
