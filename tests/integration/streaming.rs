//! What is said bit by bit arrives bit by bit: event streams, long polls, hints before a page.

mod early_hints;
mod events;
