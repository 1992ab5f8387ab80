//! Sends a client elsewhere, where its route says so.

use http::{StatusCode, header};

use super::answer::Refusal;
use super::received::Received;
use super::told::Told;
use crate::policy::head::HeadError;
use crate::policy::reason::Reason;
use crate::policy::redirect::{Redirect, Unplaced};

/// Answers a request of a route that has a redirect. The target is never served here, so nothing else is looked at.
///
/// # Errors
/// The redirect itself, or why there is no place to name.
pub(super) fn redirect(
    redirect: Option<&Redirect>,
    received: &Received<'_>,
    told: &mut Told,
) -> Result<(), Refusal> {
    let Some(redirect) = redirect else { return Ok(()) };
    let location = redirect.place(&received.place()).map(|place| place.location())?;
    told.set(header::LOCATION, location);
    Err(Reason::Redirected(redirect.status()).into())
}

impl From<Unplaced> for Refusal {
    fn from(unplaced: Unplaced) -> Self {
        match unplaced {
            Unplaced::NoHost => {
                Reason::BadRequest(HeadError::MissingHost.reason(), StatusCode::BAD_REQUEST).into()
            }
            Unplaced::Path(error) => error.into(),
        }
    }
}
