//! Bundles: a handle that owns coroutines.

use super::context::Context;
use super::coroutine::{self, Coroutine};
use super::list::List;
use super::object::{self, About, Kind, Ref};
use super::wait::{Awaited, Clause, Source};
use crate::error::{Errno, Result};
use core::cell::Cell;
use core::ffi::c_void;

/// The body of a bundle's handle.
pub(crate) struct Bundle {
    /// The coroutines that have not ended, in the order of their launch.
    pub(super) members: List<Coroutine>,
    /// The coroutines in `bundle_wait`.
    waiters: List<Clause>,
    closed: Cell<bool>,
}

/// Where a debugger finds the coroutines of a bundle.
pub(super) const MEMBERS: usize = core::mem::offset_of!(Bundle, members);

static TYPE: u8 = 0;

impl Kind for Bundle {
    type Vfs = ();
    const VFS: () = ();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        About { bundle: self, ..About::of("bundle") }
    }

    fn close(this: &Ref<Bundle>) {
        let Ok(context) = Context::get() else { return };
        this.closed.set(true);
        this.wake_waiters(context, Some(Errno::EBADF));
        // SAFETY: the members of a bundle are alive.
        while let Some(first) = unsafe { this.members.front().as_ref() } {
            coroutine::cancel(context, first);
        }
    }
}

impl Bundle {
    fn wake_waiters(&self, context: &Context, error: Option<Errno>) {
        // SAFETY: a linked waiter is alive; firing it unlinks it.
        while let Some(waiter) = unsafe { self.waiters.front().as_ref() } {
            context.fire(waiter, error);
        }
    }

    /// Called after a member has ended by itself.
    pub(super) fn member_finished(&self, context: &Context) {
        if self.members.is_empty() {
            self.wake_waiters(context, None);
        }
    }
}

/// Makes an empty bundle. ECANCELED, ENOMEM.
pub(crate) fn make() -> Result<i32> {
    object::make(Bundle { members: List::new(), waiters: List::new(), closed: Cell::new(false) })
}

/// The bundle behind a handle. EBADF, ENOTSUP.
pub(crate) fn find(handle: i32) -> Result<Ref<Bundle>> {
    object::find::<Bundle>(handle)
}

/// Waits until the last coroutine of a bundle has ended.
pub(crate) fn wait(context: &Context, handle: i32, deadline: i64) -> Result<()> {
    context.check_cancelled()?;
    let bundle = find(handle)?;
    if bundle.closed.get() {
        return Err(Errno::EBADF);
    }
    if bundle.members.is_empty() {
        return Ok(());
    }
    let clause = Clause::new(0, Source::List(Awaited::Bundle(handle)));
    // SAFETY: the clause stays on this stack until the wait has ended, which unlinks it; the
    // reference keeps the list in place.
    unsafe { bundle.waiters.push_back(&clause) };
    // SAFETY: as above.
    unsafe { context.wait_for(&clause, deadline) }
}
