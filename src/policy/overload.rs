//! What share of its requests an upstream takes when it has more to do than it can: the sheddable go first, then the
//! normal ones, and the critical never.
//!
//! Two signs say that it is too much. A queue that does not become shorter: when it has not been empty for a tenth of a
//! second, the sheddable make it shorter; when it has used up half of the places or of the time that it may, so do the
//! normal, and not before, since a queue within its limits is what it is for (queuing time, not response time, is what tells overload from slow
//! work: H. Zhou et al., "Overload Control for Scaling WeChat Microservices" (DAGOR), SoCC 2018). And a route that
//! misses the target of its p99. The shares then shrink by a part of themselves and grow by steps as soon as neither
//! sign is left (AIMD, as DAGOR's admission level), so that they settle around what the upstream can do instead of
//! closing and opening.

use crate::config::Priority;

mod target;

pub use target::Target;

/// A tick of such a queue takes this part away.
const LESS: f32 = 0.1;
/// A missed target takes this part away, once a [`Target`]'s round.
const LESS_FOR_TARGET: f32 = 0.25;
/// A tick without a sign of overload adds this much: back from nothing in 5 s.
const MORE: f32 = 0.02;
/// Below this a share is nothing, and the next class shrinks.
const NOTHING: f32 = 0.02;
/// A target that is missed for another reason than the load would else close the shop.
const NORMAL_FOR_TARGET: f32 = 0.5;
/// The same for the sheddable.
const SHEDDABLE_FOR_TARGET: f32 = 0.05;
/// A queue that is shorter than this part of what it was becomes shorter by itself.
const SHRINKS: f32 = 0.95;

/// Of each class the share that is let in, 0 to 1. The critical are always let in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Of normal requests.
    pub normal: f32,
    /// Of sheddable requests.
    pub sheddable: f32,
}

impl Shares {
    /// Everything.
    pub const ALL: Self = Self { normal: 1.0, sheddable: 1.0 };

    /// The share of a class.
    #[inline]
    pub fn of(self, priority: Priority) -> f32 {
        match priority {
            Priority::Critical => 1.0,
            Priority::Normal => self.normal,
            Priority::Sheddable => self.sheddable,
        }
    }

    /// In one word, to 1/65535.
    pub(super) fn pack(self) -> u32 {
        (u32::from(steps(self.normal)) << 16) | u32::from(steps(self.sheddable))
    }

    pub(super) fn unpack(word: u32) -> Self {
        let [high, low] = [word >> 16, word & 0xffff].map(|steps| steps as f32 / f32::from(u16::MAX));
        Self { normal: high, sheddable: low }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what a u16 holds")]
fn steps(share: f32) -> u16 {
    (share.clamp(0.0, 1.0) * f32::from(u16::MAX)).round() as u16
}

/// What is seen of an upstream at one tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signs {
    /// Whether somebody has waited all the time since the last tick.
    pub lasting: bool,
    /// Whether the queue has used up half of what it may as well.
    pub standing: bool,
    /// Requests that wait.
    pub waiting: u32,
    /// Requests that were turned away for want of room since the last tick.
    pub refused: u32,
    /// The most important class with a route that has just missed its target.
    pub missed: Option<Priority>,
    /// Whether a route's last round missed its target.
    pub misses: bool,
}

/// The shares of one upstream as they move.
#[derive(Debug, Clone, Copy)]
pub struct Overload {
    shares: Shares,
    waited: u32,
}

impl Default for Overload {
    fn default() -> Self {
        Self { shares: Shares::ALL, waited: 0 }
    }
}

impl Overload {
    /// The shares from now on. To be asked ten times a second.
    pub fn tick(&mut self, signs: Signs) -> Shares {
        let before = std::mem::replace(&mut self.waited, signs.waiting);
        let shrinks = (signs.waiting as f32) < before as f32 * SHRINKS;
        if (signs.standing && !shrinks) || (signs.refused > 0 && !signs.lasting) {
            self.shrink();
        } else if !signs.standing && signs.refused == 0 {
            self.settle(signs, shrinks);
        }
        if let Some(missed) = signs.missed {
            self.shrink_for(missed);
        }
        self.shares
    }

    /// The shares of now.
    pub fn shares(&self) -> Shares {
        self.shares
    }

    /// The sheddable first, then the normal.
    fn shrink(&mut self) {
        let Shares { normal, sheddable } = &mut self.shares;
        shrink(if *sheddable > 0.0 { sheddable } else { normal });
    }

    /// A queue within its limits takes the sheddable only, and gives back what it took of the normal.
    fn settle(&mut self, signs: Signs, shrinks: bool) {
        if signs.lasting && !shrinks {
            shrink(&mut self.shares.sheddable);
        }
        if !signs.misses && (!signs.lasting || self.shares.normal < 1.0) {
            self.grow();
        }
    }

    /// For a target of its own, a class gives way itself and so do those below it, never one above.
    fn shrink_for(&mut self, missed: Priority) {
        let Shares { normal, sheddable } = &mut self.shares;
        let less =
            |share: &mut f32, least: f32| *share = share.min((*share * (1.0 - LESS_FOR_TARGET)).max(least));
        if *sheddable > SHEDDABLE_FOR_TARGET {
            less(sheddable, SHEDDABLE_FOR_TARGET);
        } else if missed < Priority::Sheddable {
            less(normal, NORMAL_FOR_TARGET);
        }
    }

    fn grow(&mut self) {
        let Shares { normal, sheddable } = &mut self.shares;
        let share = if *normal < 1.0 { normal } else { sheddable };
        *share = (*share + MORE).min(1.0);
    }
}

fn shrink(share: &mut f32) {
    *share *= 1.0 - LESS;
    if *share < NOTHING {
        *share = 0.0;
    }
}

#[cfg(test)]
mod tests;
