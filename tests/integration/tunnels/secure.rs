//! WebSocket within TLS, from the client and to the endpoint.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tungstenite::{Message, WebSocket, accept, client};

use crate::support::{Authority, DEADLINE, Issuer, Yaml};

type Secured = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

/// Speaks WebSocket within TLS, and nothing else.
fn endpoint(config: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || {
                let connection = ServerConnection::new(config).expect("a connection");
                let Ok(mut socket) = accept(StreamOwned::new(connection, stream)) else { return };
                while let Ok(message) = socket.read() {
                    if message.is_binary() && socket.send(message).is_err() {
                        return;
                    }
                }
                let stream = socket.get_mut();
                stream.conn.send_close_notify();
                // The other side may be gone.
                let _ = stream.flush();
            });
        }
    });
    address
}

/// A WebSocket to shop.example at `address`.
fn connect(authority: &Authority, address: SocketAddr) -> Secured {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca()).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("shop.example").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(DEADLINE)).expect("read timeout");
    let (socket, answer) =
        client("wss://shop.example/chat", StreamOwned::new(connection, stream)).expect("a handshake");
    assert_eq!(answer.status(), 101);
    socket
}

#[test]
fn large_messages_come_back_through_tls_on_both_sides() {
    let (authority, issuer) = (Authority::new(), Issuer::new());
    authority.issue("shop", &["shop.example"]);
    for (protocol, alpn) in [("http1", &[][..]), ("auto", &["h2", "http/1.1"])] {
        let address = endpoint(issuer.server(&["127.0.0.1"], alpn));
        let shop = format!(
            "protocol: {protocol}, tls: {{ ca: \"{}\" }}, endpoints: [\"{address}\"]",
            issuer.ca().display()
        );
        let proxy = Yaml::new(&shop).listeners(&authority.listener(&["shop"], "")).start();
        let mut socket = connect(&authority, proxy.web());
        for size in [1, 1000, 1 << 20, 3 << 20] {
            socket.send(Message::binary(vec![7; size])).expect("send");
            assert_eq!(socket.read().expect("an echo"), Message::binary(vec![7; size]), "{protocol}");
        }
        socket.close(None).expect("close");
        assert!(matches!(socket.read().expect("the same back"), Message::Close(_)));
        // TLS is ended as it should be: a cut would be another error.
        assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)));
        drop(socket);
        proxy.metrics_when(|metrics| metrics.count("tillgate_tunnels_open", &[]) == 0);
    }
}
