//! The services as a user meets them: real processes on free ports, spoken to over HTTP.

mod faults;
mod lifecycle;
mod orders;
mod payments;
mod support;
