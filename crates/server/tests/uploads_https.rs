//! Uploads over TLS: to a repository whose certificate an authority of the operator's own has signed, and to one that
//! nobody vouches for.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

use builder_model::{Outcome, Period};
use builder_testkit::{FakeWorker, Grounds, Program, schedule};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

/// A repository that takes one upload after the other: what it got, headers and body.
struct SecureRepository {
    port: u16,
    authority: String,
    posts: Receiver<(String, Vec<u8>)>,
}

fn repository() -> SecureRepository {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, posts) = channel();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let stream = StreamOwned::new(connection, stream.unwrap());
            // A client that does not trust us ends the handshake.
            if let Some(post) = take_post(stream)
                && seen.send(post).is_err()
            {
                return;
            }
        }
    });
    SecureRepository { port, authority: authority.pem(), posts }
}

fn take_post(stream: impl Read + Write) -> Option<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let before = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if let Some(value) = head[before..].to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let stream = reader.get_mut();
    stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    stream.flush().ok()?;
    Some((head, body))
}

/// A server that uploads there, and that trusts the authorities in this file.
async fn build_with(grounds: &Grounds, port: u16, authorities: &Path) -> (Program, builder_model::BuildId) {
    let url = format!("https://user:secret@localhost:{port}/upload");
    let (data, config) = (grounds.data().to_str().unwrap(), grounds.settings.config_dir.to_str().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_builder-server"));
    command.args(["--listen", "127.0.0.1:0", "--dir", data, "--config-dir", config, "--upload", &url]);
    command.env("SSL_CERT_FILE", authorities).env_remove("SSL_CERT_DIR");
    let mut server = Program::start_with(&mut command);
    let address = server.address().await;
    assert_eq!(schedule(address, "a", "p", Period::Never).await, Ok(()));
    let (worker, job) = FakeWorker::running(address, "p").await;
    worker.finish(Outcome::Exited(0), &[("f", &[7; 300_000])]).await;
    (server, job.build)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_when_the_system_trusts_it() {
    let (grounds, repository) = (Grounds::new(), repository());
    let authorities = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authorities.path(), &repository.authority).unwrap();
    let (mut server, build) = build_with(&grounds, repository.port, authorities.path()).await;
    server.says("a: uploaded").await;
    let (head, body) = repository.posts.recv().unwrap();
    assert!(head.contains("Basic dXNlcjpzZWNyZXQ="), "{head}");
    assert!(body == std::fs::read(grounds.record_path("a", build)).unwrap());
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_refused_and_the_build_waits() {
    let (grounds, trusted, other) = (Grounds::new(), repository(), repository());
    let authorities = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authorities.path(), &trusted.authority).unwrap();
    let (mut server, _) = build_with(&grounds, other.port, authorities.path()).await;
    let log = server.says("a is not uploaded").await;
    assert!(log.contains("certificate") && !log.contains("secret"), "{log}");
    assert!(other.posts.try_recv().is_err());
    server.kill();
}
