//! Sockets: listening, accepted connections, and the pool of connections to endpoints. Knows nothing of routes.

pub mod accepted;
pub mod ahead;
pub mod connect;
pub mod downstream;
pub mod fair;
pub mod listen;
pub mod pool;
pub mod relay;
pub mod switched;
pub mod timers;
pub mod tls;
pub mod transport;
pub mod wire;
