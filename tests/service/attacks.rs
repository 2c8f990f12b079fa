//! Clients that mean no good: slow, idle, endless, bombs. No answer is a failure of the service,
//! memory stays bounded, and it is well afterwards.

use super::client::part;
use crate::support::server::{Server, curl};
use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use zip::write::SimpleFileOptions;

/// The most memory that the service may hold while it is attacked.
const MEMORY: u64 = 400 << 20;
const IDLE: usize = 10_000;
const SLOW: usize = 200;

fn connect(server: &Server) -> Option<TcpStream> {
    TcpStream::connect(server.address()).ok()
}

/// Whether a job goes through.
fn is_well(server: &Server) -> bool {
    let (model, calibration) = (part("model", "digits_mlp.onnx"), part("calibration", "calibration.npz"));
    let (config, url) = ("config={\"epochs\": 2, \"polish\": false, \"threads\": 1}", format!("{}/v1/convert", server.url));
    let answer = curl(&["-m", "60", "-o", "/dev/null", "-F", &model, "-F", &calibration, "-F", config, &url]);
    answer.is_some_and(|a| a.0 == 200)
}

/// Status and body of an answer to bytes that are no HTTP client's.
fn answer_to(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect(server).unwrap();
    let _ = stream.write_all(bytes);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn idle_and_slow_connections() {
    let server = Server::start(&["--header-timeout", "3", "--read-timeout", "3", "--body-timeout", "5"]);
    let idle: Vec<TcpStream> = (0..IDLE).map_while(|_| connect(&server)).collect();
    // this process may not have descriptors for all of them
    assert!(idle.len() > 500, "{}", idle.len());
    assert!(is_well(&server), "others are served meanwhile");
    let head =
        "POST /v1/jobs HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n";
    let mut slow: Vec<TcpStream> = Vec::new();
    drop(idle);
    for n in 0..SLOW {
        let Some(mut stream) = connect(&server) else { break };
        // half of them never finish their head
        let sent = if n % 2 == 0 { &head.as_bytes()[..40] } else { head.as_bytes() };
        let _ = stream.write_all(sent);
        slow.push(stream);
    }
    let started = Instant::now();
    let mut open = slow.len();
    while open > 0 && started.elapsed() < Duration::from_secs(60) {
        // a byte now and then keeps the connection busy, but not for longer than a head or a body
        // may take
        open = slow.iter_mut().filter_map(|s| s.write_all(b"x").ok()).count();
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(open, 0, "slow clients are ended");
    assert!(is_well(&server));
    assert!(server.peak_memory() < MEMORY, "{} MiB", server.peak_memory() >> 20);
}

#[test]
fn endless_bodies_and_bombs() {
    let server = Server::start(&["--max-body", "64"]);
    let gigabyte = "POST /v1/jobs HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1073741824\r\n\r\n";
    assert!(answer_to(&server, gigabyte.as_bytes()).starts_with("HTTP/1.1 413 "));
    // the same without saying so: chunks of a file that never ends, until the service has had
    // enough
    for path in ["/v1/jobs", "/v1/files"] {
        let mut stream = connect(&server).unwrap();
        let kind = "multipart/form-data; boundary=b";
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        let start = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\x08\x07";
        let _ = stream.write_all(&chunk(if path == "/v1/jobs" { start } else { b"\x08\x07 a model" }));
        let megabyte = chunk(&vec![0; 1 << 20]);
        let taken = (0..1024).take_while(|_| stream.write_all(&megabyte).is_ok()).count();
        assert!(taken < 200, "{path}: {taken} MiB");
    }
    // 4 GiB of zeros in 4 MiB, as a member that says so and one that does not even pretend to be an
    // array
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().large_file(true);
    zip.start_file("x.npy", options).unwrap();
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1073741824,), }\n";
    zip.write_all(&[b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
    let zeros = vec![0u8; 16 << 20];
    for _ in 0..16 {
        zip.write_all(&zeros).unwrap();
    }
    let bomb = zip.finish().unwrap().into_inner();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bomb).unwrap();
    let model = part("model", "digits_mlp.onnx");
    for path in ["convert", "jobs"] {
        let calibration = format!("calibration=@{}", file.path().display());
        let url = format!("{}/v1/{path}", server.url);
        let (status, body) = curl(&["-F", &model, "-F", &calibration, &url]).unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(status == 400 && text.contains("more than the limit"), "{status}: {text}");
    }
    assert!(is_well(&server));
    assert!(server.peak_memory() < MEMORY, "{} MiB", server.peak_memory() >> 20);
}

#[test]
fn odd_requests() {
    let server = Server::start(&[]);
    let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(100_000));
    let headers = format!("GET /healthz HTTP/1.1\r\nHost: h\r\n{}\r\n", "X-A: b\r\n".repeat(5000));
    let rows: [(&[u8], &[&str]); 7] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", &["HTTP/1.1 400 "]),
        (b"GET /nothing HTTP/1.1\r\n\r\n", &["HTTP/1.1 404 ", "HTTP/1.1 400 "]),
        (b"POST /v1/convert HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", &["HTTP/1.1 400 "]),
        (b"POST /v1/convert HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", &["HTTP/1.1 4"]),
        (b"BREW /v1/jobs HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", &["HTTP/1.1 405 "]),
        (long.as_bytes(), &["HTTP/1.1 414 ", "HTTP/1.1 431 ", ""]),
        (headers.as_bytes(), &["HTTP/1.1 431 ", ""]),
    ];
    for (request, allowed) in rows {
        let answer = answer_to(&server, request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
        assert!(allowed.iter().any(|a| answer.starts_with(a)) && !answer.starts_with("HTTP/1.1 5"), "{shown}: {answer}");
    }
    assert!(is_well(&server));
}
