//! A minimal HTTP/1.1 server: one request per connection, with bounds on every size. Handlers decide on the answer.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// Maximum bytes of request line and headers together.
const MAX_HEAD: u64 = 64 * 1024;
/// Maximum bytes of a request body.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// A complete request.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Returns the first header of this name, ignoring case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The response; `Content-Length` and `Connection: close` are added.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    content_type: &'static str,
    challenge: bool,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(status: u16, body: String) -> Self {
        Self { status, content_type: "application/json", challenge: false, body }
    }

    pub(crate) fn text(status: u16, body: String) -> Self {
        Self { status, content_type: "text/plain; version=0.0.4", challenge: false, body }
    }

    /// 401 with an empty body, as bitcoind sends it.
    pub(crate) fn unauthorised() -> Self {
        Self { status: 401, content_type: "text/html", challenge: true, body: String::new() }
    }
}

/// Reads one request, answers it and closes. A malformed request gets a 400; a truncated one is an error.
pub(crate) fn serve(peer: &TcpStream, answer: impl Fn(&Request) -> Response) -> io::Result<()> {
    let mut reader = BufReader::new(peer);
    let response = match read(&mut reader)? {
        Ok(request) => answer(&request),
        Err(refusal) => refusal,
    };
    write(peer, &response)
}

fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Result<Request, Response>> {
    let mut head = reader.by_ref().take(MAX_HEAD);
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        head.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "request ends within its headers, or they are too large",
            ));
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }

    let Some(mut request) = parse_head(&lines) else {
        return Ok(Err(Response::text(400, "bad request\n".to_owned())));
    };
    let length = match request.header("content-length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(length)) if length <= MAX_BODY => length,
        Some(_) => return Ok(Err(Response::text(400, "bad content-length\n".to_owned()))),
    };
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Ok(request))
}

fn parse_head(lines: &[String]) -> Option<Request> {
    let (first, headers) = lines.split_first()?;
    let mut words = first.split(' ');
    let (method, path, version) = (words.next()?, words.next()?, words.next()?);
    if !version.starts_with("HTTP/1.") || words.next().is_some() {
        return None;
    }
    let headers = headers
        .iter()
        .map(|line| {
            line.split_once(':').map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Request { method: method.to_owned(), path: path.to_owned(), headers, body: Vec::new() })
}

fn write(mut peer: &TcpStream, response: &Response) -> io::Result<()> {
    let challenge =
        if response.challenge { "WWW-Authenticate: Basic realm=\"jsonrpc\"\r\n" } else { "" };
    let Response { status, content_type, body, .. } = response;
    let message = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{challenge}Connection: close\r\n\r\n{body}",
        reason(*status),
        body.len(),
    );
    peer.write_all(message.as_bytes())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        500 => "Internal Server Error",
        _ => "Refused",
    }
}
