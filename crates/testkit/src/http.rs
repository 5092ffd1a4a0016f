//! As much of HTTP as the tests need: one request a connection, and a repository that answers what it is told to.

use crate::wait::in_time;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// What it says.
    pub body: String,
}

/// Asks for a page.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let text = in_time("an answer over HTTP", asked).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, body: body.to_owned() }
}

/// The number behind a name, labels included, among the metrics of a server; none when it is not there.
pub async fn metric(address: SocketAddr, name: &str) -> Option<f64> {
    let text = get(address, "/metrics").await.body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

/// A request that a repository got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// The first line.
    pub line: String,
    /// The other lines of the head, in lower case up to the colon.
    pub headers: Vec<(String, String)>,
    /// What was sent.
    pub body: Vec<u8>,
}

impl Post {
    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A repository that takes uploads: it answers with a list of statuses, one after the other, and 200 from then on.
#[derive(Debug)]
pub struct Repository {
    address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
    serving: JoinHandle<()>,
}

impl Repository {
    /// A repository on a free port.
    pub async fn start(statuses: &[u16]) -> Self {
        Self::serve(TcpListener::bind("127.0.0.1:0").await.unwrap(), statuses)
    }

    /// A repository on a socket that is there already.
    pub fn serve(listener: TcpListener, statuses: &[u16]) -> Self {
        let address = listener.local_addr().unwrap();
        let posts = Arc::new(Mutex::new(Vec::new()));
        let (seen, mut statuses) = (posts.clone(), VecDeque::from_iter(statuses.iter().copied()));
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                while let Some(post) = read_post(&mut stream).await {
                    seen.lock().unwrap().push(post);
                    let status = statuses.pop_front().unwrap_or(200);
                    let body = format!("status {status}\nand more");
                    let head = format!("HTTP/1.1 {status} So\r\nContent-Length: {}\r\n\r\n", body.len());
                    stream.write_all((head + &body).as_bytes()).await.unwrap();
                }
            }
        });
        Self { address, posts, serving }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where builds are uploaded to, by this user.
    pub fn url(&self, user: &str) -> String {
        format!("http://{user}@{}/upload", self.address)
    }

    /// What it got so far.
    pub fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The next request of a connection; none at its end.
async fn read_post(stream: &mut BufReader<TcpStream>) -> Option<Post> {
    let line = read_line(stream).await.filter(|line| !line.is_empty())?;
    let mut headers = Vec::new();
    loop {
        let header = read_line(stream).await?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut post = Post { line, headers, body: Vec::new() };
    if let Some(length) = post.header("content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        post.body = body;
    } else {
        assert_eq!(post.header("transfer-encoding"), Some("chunked"), "{post:?}");
        loop {
            let size = usize::from_str_radix(&read_line(stream).await?, 16).unwrap();
            let mut chunk = vec![0; size];
            stream.read_exact(&mut chunk).await.ok()?;
            post.body.append(&mut chunk);
            read_line(stream).await?;
            if size == 0 {
                break;
            }
        }
    }
    Some(post)
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    Some(line.trim_end().to_owned())
}
