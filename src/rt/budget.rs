//! Fairness. While a peer keeps sending, no operation blocks: other coroutines would starve, and no
//! deadline would ever be checked. So whatever completes without waiting is charged to a budget that is
//! kept across calls; a coroutine that has used it up yields, and comes back behind those that have not.

use super::clock;
use super::context::Context;
use crate::error::{Errno, Result};
use core::cell::Cell;

/// How much work is done between two readings of the clock, in bytes moved.
const WORK: i64 = 64 * 1024;
/// What a call, or a round of a loop, costs besides the bytes that it moves.
const CALL: usize = 256;
/// What a system call costs.
pub(crate) const SYSTEM_CALL: usize = 2048;
/// How long a coroutine may go on without waiting, in ns. (Seen: with 1 ms, an echo beside one
/// flooding client takes 0.6 ms, with half of that 0.3.)
pub(super) const SLICE: i64 = 500_000;
/// What is there at once is there at any deadline: so much longer than one reading of the clock a call, or a loop of
/// calls, may take, in ms, before a deadline that has passed ends it.
const GRACE: i64 = 5;

/// What is left of the time slice of the coroutine that runs.
pub(crate) struct Budget {
    left: Cell<i64>,
    /// When the clock was first read in this slice, in ns; 0: not yet.
    since: Cell<i64>,
    /// A slice ended where no deadline was looked at: the next call looks at its own.
    deadline_unchecked: Cell<bool>,
}

impl Budget {
    /// A fresh slice.
    pub(super) const fn new() -> Budget {
        Budget { left: Cell::new(WORK), since: Cell::new(0), deadline_unchecked: Cell::new(false) }
    }

    #[inline(always)]
    fn charge(&self, cost: i64) -> bool {
        let left = self.left.get().wrapping_sub(cost);
        self.left.set(left);
        left > 0
    }

    /// For whoever runs next.
    #[inline(always)]
    pub(super) fn renew(&self) {
        self.left.set(WORK);
        self.since.set(0);
    }
}

/// The loop of a call whose rounds may all complete without waiting, or with waits that readiness ends
/// whatever the time is.
#[derive(Default)]
pub(crate) struct Rounds {
    /// What was done since the clock was read.
    work: i64,
    /// When the clock was first read, in ms; 0: not yet.
    since: i64,
}

impl Rounds {
    /// Charges a round that has moved `len` bytes. If the time slice is over, others run: then look again
    /// at everything. ETIMEDOUT, ECANCELED.
    #[inline(always)]
    pub(crate) fn spend(&mut self, context: &Context, len: usize, deadline: i64) -> Result<()> {
        let cost = cost(len);
        self.work += cost;
        if context.budget.charge(cost) && self.work < WORK { Ok(()) } else { self.check(context, deadline) }
    }

    #[cold]
    fn check(&mut self, context: &Context, deadline: i64) -> Result<()> {
        context.give_way()?;
        if self.work < WORK {
            return Ok(());
        }
        self.work = 0;
        let now = clock::now();
        if self.since == 0 {
            self.since = now;
        }
        let has_passed = deadline >= 0 && now >= deadline && now - self.since >= GRACE;
        if has_passed { Err(Errno::ETIMEDOUT) } else { Ok(()) }
    }
}

#[inline(always)]
fn cost(len: usize) -> i64 {
    CALL.wrapping_add(len) as i64
}

impl Context {
    /// Charges work that moves `len` bytes without waiting. False: it is time to look at the clock, in
    /// `admit` or `spend`.
    #[inline(always)]
    pub(crate) fn charge(&self, len: usize) -> bool {
        self.budget.charge(cost(len)) && !self.budget.deadline_unchecked.get()
    }

    /// The same, and if it is time, looks at the clock. False: it is time for `admit`, where others run. Does not
    /// switch.
    #[inline(always)]
    pub(crate) fn charge_at_once(&self, len: usize) -> bool {
        self.charge(len) || self.can_go_on()
    }

    #[cold]
    fn can_go_on(&self) -> bool {
        !self.budget.deadline_unchecked.get() && self.continue_slice()
    }

    /// Charges a call that may complete without waiting, before it has done anything. If the slice is
    /// over, others run first: then look again at everything. A deadline that passes now, or is 0, asks for one
    /// attempt, which the call still makes; one that has long passed ends a loop of calls. ETIMEDOUT, ECANCELED.
    #[inline(always)]
    pub(crate) fn admit(&self, len: usize, deadline: i64) -> Result<()> {
        if self.charge(len) { Ok(()) } else { self.admit_to_slice(deadline) }
    }

    #[inline(never)]
    fn admit_to_slice(&self, deadline: i64) -> Result<()> {
        // How long the others run does not count.
        let has_passed = deadline > 0 && clock::now() - deadline >= GRACE;
        // Without a short cut: the flag is taken either way.
        let has_ended = self.check_slice()? | self.budget.deadline_unchecked.take();
        if has_ended && has_passed { Err(Errno::ETIMEDOUT) } else { Ok(()) }
    }

    /// Lets others run if the slice is over, at the end of a call whose place among others was given by its
    /// beginning, such as a send. Cancellation is for the next call.
    #[inline(always)]
    pub(crate) fn pause(&self) {
        if self.is_spent() {
            let _ = self.give_way();
        }
    }

    /// Whether it is time for `give_way`, in the middle of a call without a deadline. Does not switch.
    #[cfg(feature = "sockets")]
    #[inline(always)]
    pub(crate) fn must_give_way(&self) -> bool {
        self.is_spent() && !self.continue_slice()
    }

    /// Lets others run if the slice is over: then look again at everything. ECANCELED.
    #[cold]
    pub(crate) fn give_way(&self) -> Result<()> {
        if self.check_slice()? {
            self.budget.deadline_unchecked.set(true);
        }
        Ok(())
    }

    /// Whether `pause` has something to do.
    #[inline(always)]
    pub(crate) fn is_spent(&self) -> bool {
        self.budget.left.get() <= 0
    }

    /// Lets the budget end after so many calls at the latest.
    pub(super) fn limit_budget(&self, calls: u32) {
        self.budget.left.set(self.budget.left.get().min(i64::from(calls) * CALL as i64));
    }

    /// Yields if the budget and the slice are used up, and says whether they were. ECANCELED.
    #[cold]
    fn check_slice(&self) -> Result<bool> {
        if self.budget.left.get() > 0 || self.continue_slice() {
            return Ok(false);
        }
        self.budget.left.set(WORK);
        self.check_cancelled()?;
        self.yield_spent()?;
        Ok(true)
    }

    /// Looks at the clock: false if the slice is over, or else the budget is a new one.
    fn continue_slice(&self) -> bool {
        self.budget.left.set(WORK);
        self.call_soon();
        let now = clock::nanoseconds();
        if self.budget.since.get() == 0 {
            self.budget.since.set(now);
        }
        let continues = now - self.budget.since.get() < SLICE;
        if !continues {
            self.budget.left.set(0);
        }
        continues
    }
}
