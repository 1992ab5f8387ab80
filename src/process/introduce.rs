//! The beginning of a connection that a proxy in front makes for a client, where the listener takes a PROXY header.

use super::bound::Seat;
use crate::net::accepted::Accepted;
use crate::policy::proxy_header::Expect;
use crate::proxy::handle::Service;

/// Has a connection say whose it is, and counts it there. Whether it is to be served.
pub(super) async fn introduce(
    service: &Service,
    seat: &mut Seat,
    stream: &mut Accepted,
    expect: Expect,
) -> bool {
    match expect {
        Expect::Nothing => true,
        // Boxed, so that it costs nothing where there is none.
        Expect::Perhaps | Expect::Header => Box::pin(read_header(service, seat, stream, expect)).await,
    }
}

async fn read_header(service: &Service, seat: &mut Seat, stream: &mut Accepted, expect: Expect) -> bool {
    let connection = &service.connection;
    let peer = connection.peer();
    match connection.be_introduced(stream, expect).await {
        // Its peer has been asked for already, and a proxy's own connections are not counted.
        Ok(true) if connection.peer() == peer => true,
        Ok(true) => seat.pass_to(connection.peer().ip(), &service.worker.view().snapshot.trusted),
        Ok(false) => false,
        Err(refusal) => {
            seat.bound().refuse(refusal);
            let (listener, reason) = (seat.bound().name.load(), refusal.name());
            tracing::debug!(%listener, %peer, reason, "connection closed for want of a good PROXY header");
            false
        }
    }
}
