//! A small client of HTTP/1.1 that keeps its connection and costs the processor little: the load must leave the
//! machine to the server.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 << 10;
/// Longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer came and was not taken.
    filled: usize,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    /// The length of the body as it was sent, in bytes.
    pub(crate) bytes: u64,
}

/// How long the body is.
enum Length {
    Known(u64),
    Chunked,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; READ_BYTES], filled: 0 })
    }

    /// Asks for an address; `headers` are whole lines.
    pub(crate) async fn get(&mut self, target: &str, headers: &str) -> Result<Answer> {
        let request = format!("GET {target} HTTP/1.1\r\nhost: bench\r\naccept: text/html\r\n{headers}\r\n");
        self.send(request.as_bytes()).await?;
        self.answer().await.with_context(|| format!("GET {target}"))
    }

    /// The same, and an error unless it is there, or somewhere else.
    pub(crate) async fn get_ok(&mut self, target: &str, headers: &str) -> Result<Answer> {
        let answer = self.get(target, headers).await?;
        ensure!(matches!(answer.status, 200 | 302), "GET {target}: {}", answer.head.lines().next().unwrap_or_default());
        Ok(answer)
    }

    /// Sends octets.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await.context("send")
    }

    /// Reads an answer to its end; what its body says is not kept.
    pub(crate) async fn answer(&mut self) -> Result<Answer> {
        let head_bytes = loop {
            if let Some(end) = self.buffer[..self.filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(self.filled < HEAD_BYTES_MAX, "the head of the answer does not end");
            self.read_more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_bytes]).into_owned();
        self.take(head_bytes);
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status line")?;
        let bytes = match length(&head, status)? {
            Length::Known(bytes) => {
                self.skip(bytes).await?;
                bytes
            }
            Length::Chunked => self.skip_chunks().await?,
        };
        Ok(Answer { status, head, bytes })
    }

    async fn read_more(&mut self) -> Result<()> {
        let count = self.stream.read(&mut self.buffer[self.filled..]).await.context("receive")?;
        ensure!(count > 0, "the server closed the connection");
        self.filled += count;
        Ok(())
    }

    fn take(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    async fn skip(&mut self, mut bytes: u64) -> Result<()> {
        loop {
            let count = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.filled);
            self.take(count);
            bytes -= count as u64;
            if bytes == 0 {
                return Ok(());
            }
            self.read_more().await?;
        }
    }

    async fn skip_chunks(&mut self) -> Result<u64> {
        let mut bytes = 0;
        loop {
            let line = loop {
                if let Some(end) = self.buffer[..self.filled].windows(2).position(|window| window == b"\r\n") {
                    break end;
                }
                self.read_more().await?;
            };
            let size = std::str::from_utf8(&self.buffer[..line]).context("a chunk has no size")?.trim().to_owned();
            let size = u64::from_str_radix(&size, 16).with_context(|| format!("{size:?} is no size of a chunk"))?;
            self.take(line + 2);
            self.skip(size + 2).await?;
            if size == 0 {
                return Ok(bytes);
            }
            bytes += size;
        }
    }
}

fn length(head: &str, status: u16) -> Result<Length> {
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    if let Some(bytes) = header("content-length") {
        return Ok(Length::Known(bytes.parse().context("the length of the body is no number")?));
    }
    if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Ok(Length::Chunked);
    }
    if status == 304 || status == 204 {
        return Ok(Length::Known(0));
    }
    bail!("the body of the answer has no length");
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn said(answer: &'static [u8]) -> Result<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1000];
            let count = stream.read(&mut request).await.unwrap();
            assert!(request[..count].starts_with(b"GET /x HTTP/1.1\r\n") && request[..count].ends_with(b"\r\n\r\n"));
            stream.write_all(answer).await.unwrap();
        });
        let answer = Client::connect(address).await.unwrap().get("/x", "").await;
        server.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn answers_of_each_kind_are_read_to_their_end() {
        let known = said(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
        assert_eq!((known.status, known.bytes), (200, 5));
        let chunked =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(said(chunked).await.unwrap().bytes, 15);
        assert_eq!(said(b"HTTP/1.1 304 Not Modified\r\n\r\n").await.unwrap().status, 304);
        assert!(said(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell").await.is_err());
        assert!(said(b"HTTP/1.1 200 OK\r\n\r\nhell").await.is_err());
    }
}
