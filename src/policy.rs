//! Decisions without I/O: no tokio, no hyper; time and randomness are arguments.
