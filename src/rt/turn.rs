//! Taking turns: a peer that sends without end can keep an operation from ever having to wait. Then
//! the others would not run, and no deadline would strike.

use super::clock;
use super::context::Context;
use crate::error::{Errno, Result};

/// How long an operation may go on without waiting, in ms.
const LENGTH: i64 = 10;
/// The clock is looked at after so much work, in bytes.
const WORK: usize = 64 * 1024;
/// What each round of a loop costs besides the bytes that it moves, in terms of bytes.
const ROUND: usize = 1024;

/// The turn of a coroutine in a loop. What is over within it is not interrupted.
#[derive(Default)]
pub struct Turn {
    work: usize,
    /// Not known before the first look at the clock.
    end: Option<i64>,
}

impl Turn {
    /// To be called in each round of the loop, with the number of bytes that were moved: from time
    /// to time lets the others run. ETIMEDOUT, ECANCELED.
    #[inline]
    pub fn step(&mut self, context: &Context, len: usize, deadline: i64) -> Result<()> {
        self.work += ROUND + len;
        if self.work < WORK { Ok(()) } else { self.look(context, deadline) }
    }

    #[cold]
    fn look(&mut self, context: &Context, deadline: i64) -> Result<()> {
        self.work = 0;
        let now = clock::now();
        if now < *self.end.get_or_insert(now + LENGTH) {
            return Ok(());
        }
        self.end = None;
        if deadline >= 0 && now >= deadline {
            return Err(Errno::ETIMEDOUT);
        }
        context.check_cancelled()?;
        // Descriptors and timers are looked at, too.
        context.waits_until_look.set(0);
        context.yield_now()
    }
}
