//! A client that sends exactly the bytes it is given.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::message::is_timeout;
use super::{DEADLINE, Message};

/// One connection.
pub struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, DEADLINE).expect("connect"))
    }

    /// Speaks over a socket that is connected.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("read timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("write timeout");
        stream.set_nodelay(true).expect("nodelay");
        let reader = BufReader::new(stream.try_clone().expect("clone"));
        Self { stream, reader }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("send");
        self
    }

    /// Sends bytes, and does not mind if the other side has closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Ends the sending side.
    pub fn finish(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
        self
    }

    /// Reads one response to a GET or POST.
    pub fn response(&mut self) -> Message {
        self.response_to("GET").expect("a response, not the end of the connection")
    }

    /// Reads one response to `method`, or the end of the connection.
    pub fn response_to(&mut self, method: &str) -> Option<Message> {
        Message::read_response(&mut self.reader, method)
    }

    /// Reads one response, unless the connection ends or is reset first.
    pub fn try_response(&mut self) -> Option<Message> {
        self.response_to("GET")
    }

    /// Sends a GET and reads the response.
    pub fn get(&mut self, path: &str) -> Message {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n")).response()
    }

    /// Sends a POST of `body` with its length and reads the response.
    pub fn post(&mut self, path: &str, body: &str) -> Message {
        let length = body.len();
        let request =
            format!("POST {path} HTTP/1.1\r\nhost: shop.example\r\ncontent-length: {length}\r\n\r\n{body}");
        self.send(request).response()
    }

    /// Reads the head of a response; the body is still to be read.
    pub fn head(&mut self) -> Message {
        Message::read_request_head(&mut self.reader).expect("a head")
    }

    /// Reads the next chunk of a body, as it comes. `None` at its end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        Message::read_chunk(&mut self.reader)
    }

    /// Reads up to `most` bytes, as they come.
    pub fn read_some(&mut self, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let count = self.reader.read(&mut bytes).expect("read");
        bytes.truncate(count);
        bytes
    }

    /// Reads a response of a length and drops its body as it comes. How many bytes of it came.
    pub fn drop_body(&mut self) -> u64 {
        let head = Message::read_request_head(&mut self.reader).expect("a response");
        let length = head.header("content-length").and_then(|length| length.parse().ok()).expect("a length");
        io::copy(&mut (&mut self.reader).take(length), &mut io::sink()).expect("read")
    }

    /// Reads everything up to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = self.reader.read_to_end(&mut bytes) {
            // A reset is an end too.
            assert!(!is_timeout(&error), "still open; so far {:?}", String::from_utf8_lossy(&bytes));
        }
        bytes
    }

    /// Asserts that the other side closes without another byte.
    pub fn expect_closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Asserts that the other side closes without another byte, and without a reset, which could overtake its last bytes.
    pub fn expect_orderly_end(&mut self) {
        let mut byte = [0];
        assert_eq!(self.reader.read(&mut byte).expect("an end, not a reset"), 0);
    }

    /// The socket itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}
