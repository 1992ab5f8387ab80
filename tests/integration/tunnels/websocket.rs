//! WebSocket as a library speaks it, on both sides.

use std::net::{TcpListener, TcpStream};
use std::thread;

use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::frame::{
    Frame,
    coding::{Data, OpCode},
};
use tungstenite::{Message, WebSocket, accept, client};

use crate::support::{DEADLINE, Proxy, Yaml};

/// Sends messages back until it is closed; pings are answered by the library.
fn serve(stream: TcpStream) {
    let Ok(mut socket) = accept(stream) else { return };
    while let Ok(message) = socket.read() {
        if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
            return;
        }
    }
}

/// A proxy before an endpoint that echoes.
fn echoing() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let proxy = Yaml::before_address(listener.local_addr().expect("address")).start();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    proxy
}

fn connect(proxy: &Proxy) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(proxy.web()).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("read timeout");
    let (socket, answer) = client("ws://shop.example/chat", stream).expect("a handshake");
    assert_eq!(answer.status(), 101);
    socket
}

#[test]
fn messages_of_every_size_come_back() {
    let proxy = echoing();
    let mut socket = connect(&proxy);
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 4 << 20] {
        let bytes: Vec<u8> = (0..size).map(|at: u32| (at % 251).to_le_bytes()[0]).collect();
        socket.send(Message::binary(bytes.clone())).expect("send");
        assert_eq!(socket.read().expect("an echo"), Message::binary(bytes));
    }
    socket.send(Message::text("grüß dich")).expect("send");
    assert_eq!(socket.read().expect("an echo"), Message::text("grüß dich"));
}

#[test]
fn fragments_pings_and_close_codes_pass() {
    let proxy = echoing();
    let mut socket = connect(&proxy);
    socket.send(Message::Frame(Frame::message("frag", OpCode::Data(Data::Text), false))).expect("send");
    socket.send(Message::Ping("between".into())).expect("send");
    socket.send(Message::Frame(Frame::message("ment", OpCode::Data(Data::Continue), true))).expect("send");
    assert_eq!(socket.read().expect("a pong"), Message::Pong("between".into()));
    assert_eq!(socket.read().expect("an echo"), Message::text("fragment"));
    let close = CloseFrame { code: CloseCode::Library(4001), reason: "basket sold".into() };
    socket.close(Some(close.clone())).expect("close");
    assert_eq!(socket.read().expect("the same back"), Message::Close(Some(close)));
    assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)));
}

#[test]
fn large_messages_cross_each_other() {
    let proxy = echoing();
    let sockets: Vec<_> = (0..8).map(|_| connect(&proxy)).collect();
    let running: Vec<_> = sockets
        .into_iter()
        .enumerate()
        .map(|(number, mut socket)| {
            thread::spawn(move || {
                for round in 0..20 {
                    let byte = u8::try_from(number * 20 + round).expect("a byte");
                    socket.send(Message::binary(vec![byte; 1 << 20])).expect("send");
                    assert_eq!(socket.read().expect("an echo"), Message::binary(vec![byte; 1 << 20]));
                }
            })
        })
        .collect();
    running.into_iter().for_each(|one| one.join().expect("all came back"));
}
