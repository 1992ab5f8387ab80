//! The proxy as its users meet it: the real server, in process, on free ports, between raw sockets.

mod support;
