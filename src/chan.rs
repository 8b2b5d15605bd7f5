//! Channels: two ends, two directions, no buffer. Bytes go from the sender's memory to the
//! receiver's at the moment the second of the two arrives.

use crate::error::{Errno, Result};
use crate::memory::try_box;
use crate::rt::context::Context;
use crate::rt::handle;
use crate::rt::list::{Linked, List};
use crate::rt::object::{self, About, Kind, Ref};
use crate::rt::wait::{Awaited, Clause, Source};
use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};

/// `op` of a clause that sends.
pub const CHSEND: c_int = 1;
/// `op` of a clause that receives.
pub const CHRECV: c_int = 2;

/// A clause of `choose`, as C passes it.
#[repr(C)]
pub struct ChClause {
    /// `CHSEND` or `CHRECV`.
    pub op: c_int,
    /// An end of a channel.
    pub ch: c_int,
    /// The message: read when sending, written when receiving.
    pub val: *mut c_void,
    /// Its size in bytes.
    pub len: usize,
}

/// One direction of a channel. Both lists are in order of arrival; both are in use at once only
/// when a single `choose` stands in both.
struct ChannelDirection {
    receivers: List<Party>,
    senders: List<Party>,
    done: Cell<bool>,
}

impl ChannelDirection {
    const fn new() -> ChannelDirection {
        ChannelDirection { receivers: List::new(), senders: List::new(), done: Cell::new(false) }
    }

    fn list(&self, role: ChannelRole) -> &List<Party> {
        match role {
            ChannelRole::Send => &self.senders,
            ChannelRole::Receive => &self.receivers,
        }
    }

    /// Resumes everybody with EPIPE, receivers first.
    fn release(&self, context: &Context) {
        for list in [&self.receivers, &self.senders] {
            // SAFETY: a linked waiter is alive; firing it unlinks it.
            while let Some(waiter) = unsafe { list.front().as_ref() } {
                context.fire(&waiter.clause, Some(Errno::EPIPE));
            }
        }
    }
}

struct Channel {
    /// `directions[i]` carries what end `i` sends.
    directions: [ChannelDirection; 2],
    open_handles: Cell<u8>,
    ends: Cell<u8>,
}

/// The body of a handle: one end of a channel.
pub(crate) struct ChannelEnd {
    channel: NonNull<Channel>,
    index: usize,
}

static TYPE: u8 = 0;

impl Kind for ChannelEnd {
    type Vfs = ();
    const VFS: () = ();

    fn type_id() -> *const c_void {
        (&raw const TYPE).cast()
    }

    fn about(&self) -> About {
        About::of("channel")
    }

    /// Closing one end is silent; closing the second one releases all who wait.
    fn close(this: &Ref<ChannelEnd>) {
        let Ok(context) = Context::get() else { return };
        let channel = this.channel();
        channel.open_handles.set(channel.open_handles.get() - 1);
        if channel.open_handles.get() == 0 {
            // What end 0 receives comes first, and that is what end 1 sends.
            channel.directions[1].release(context);
            channel.directions[0].release(context);
        }
    }
}

impl ChannelEnd {
    fn channel(&self) -> &Channel {
        // SAFETY: the channel lives as long as one of its ends.
        unsafe { self.channel.as_ref() }
    }

    fn direction(&self, role: ChannelRole) -> &ChannelDirection {
        let from = match role {
            ChannelRole::Send => self.index,
            ChannelRole::Receive => 1 - self.index,
        };
        &self.channel().directions[from]
    }
}

impl Drop for ChannelEnd {
    fn drop(&mut self) {
        let left = self.channel().ends.get() - 1;
        self.channel().ends.set(left);
        if left == 0 {
            // SAFETY: made by `try_box`, and this was the last end.
            drop(unsafe { Box::from_raw(self.channel.as_ptr()) });
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ChannelRole {
    Send,
    Receive,
}

impl ChannelRole {
    /// What waiting in a list of this role is.
    fn awaits(self, handle: c_int) -> Source {
        Source::List(match self {
            ChannelRole::Send => Awaited::Receiver(handle),
            ChannelRole::Receive => Awaited::Sender(handle),
        })
    }

    fn other(self) -> ChannelRole {
        match self {
            ChannelRole::Send => ChannelRole::Receive,
            ChannelRole::Receive => ChannelRole::Send,
        }
    }
}

/// Someone with a message, or with room for one. Lives on the waiter's stack.
#[repr(C)]
struct Party {
    clause: Clause,
    value: *mut u8,
    len: usize,
}

// SAFETY: it begins with a clause, which is one.
unsafe impl Linked for Party {}

/// Makes a channel. ECANCELED, ENOMEM.
pub(crate) fn make() -> Result<[c_int; 2]> {
    let channel = try_box(Channel {
        directions: [ChannelDirection::new(), ChannelDirection::new()],
        open_handles: Cell::new(2),
        ends: Cell::new(2),
    })?;
    let channel = NonNull::from(Box::leak(channel));
    let second = ChannelEnd { channel, index: 1 };
    let first = object::make(ChannelEnd { channel, index: 0 })?;
    match object::make(second) {
        Ok(second) => Ok([first, second]),
        Err(error) => {
            handle::close(first)?;
            Err(error)
        }
    }
}

/// Ends what an end sends: it fails with EPIPE from now on, for both sides and all who wait.
pub(crate) fn done(handle: c_int) -> Result<()> {
    let context = Context::get()?;
    let end = object::find::<ChannelEnd>(handle)?;
    let direction = end.direction(ChannelRole::Send);
    if direction.done.replace(true) {
        return Err(Errno::EPIPE);
    }
    direction.release(context);
    Ok(())
}

/// Sends one message.
///
/// # Safety
/// `value` is readable for `len` bytes.
pub(crate) unsafe fn send(
    context: &Context,
    handle: c_int,
    value: *const c_void,
    len: usize,
    deadline: i64,
) -> Result<()> {
    // SAFETY: `value` is readable for `len` bytes, as the caller says, and a sender's is only read.
    unsafe { exchange(context, handle, ChannelRole::Send, value.cast_mut(), len, deadline) }
}

/// Receives one message.
///
/// # Safety
/// `value` is writable for `len` bytes.
pub(crate) unsafe fn recv(
    context: &Context,
    handle: c_int,
    value: *mut c_void,
    len: usize,
    deadline: i64,
) -> Result<()> {
    // SAFETY: `value` is writable for `len` bytes, as the caller says and receiving needs.
    unsafe { exchange(context, handle, ChannelRole::Receive, value, len, deadline) }
}

unsafe fn exchange(
    context: &Context,
    handle: c_int,
    role: ChannelRole,
    value: *mut c_void,
    len: usize,
    deadline: i64,
) -> Result<()> {
    context.check_cancelled()?;
    let end = object::find::<ChannelEnd>(handle)?;
    if value.is_null() && len > 0 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: `value` and `len` are what `send` or `recv` was called with, for this role.
    if let Some(outcome) = unsafe { meet(context, &end, role, value.cast(), len) } {
        return outcome;
    }
    if deadline == 0 {
        return Err(Errno::ETIMEDOUT);
    }
    let party = Party { clause: Clause::new(0, role.awaits(handle)), value: value.cast(), len };
    // SAFETY: the party stays on this stack until the wait has ended, which unlinks it; the
    // reference keeps the list in place.
    unsafe { end.direction(role).list(role).push_back(&party) };
    // SAFETY: as above.
    unsafe { context.wait_for(&party.clause, deadline) }
}

/// Exchanges the message with whoever has waited longest for it, if anybody has.
///
/// # Safety
/// `value` is readable for `len` bytes by a sender, or writable by a receiver.
unsafe fn meet(
    context: &Context,
    end: &ChannelEnd,
    role: ChannelRole,
    value: *mut u8,
    len: usize,
) -> Option<Result<()>> {
    let direction = end.direction(role);
    if direction.done.get() {
        return Some(Err(Errno::EPIPE));
    }
    // SAFETY: whoever waits is alive.
    let partner = unsafe { direction.list(role.other()).front().as_ref() }?;
    if partner.len != len {
        context.fire(&partner.clause, Some(Errno::EMSGSIZE));
        return Some(Err(Errno::EMSGSIZE));
    }
    let (from, to) = match role {
        ChannelRole::Send => (value, partner.value),
        ChannelRole::Receive => (partner.value, value),
    };
    if len > 0 {
        // SAFETY: both sides gave `len` bytes; they may overlap.
        unsafe { ptr::copy(from, to, len) };
    }
    context.fire(&partner.clause, None);
    Some(Ok(()))
}

/// How `choose` ended: the clause that decided, and its error if it failed.
pub(crate) type Choice = (usize, Option<Errno>);

/// Does the first thing of several that becomes possible.
///
/// # Safety
/// The values of the clauses are readable or writable as their operations need.
pub(crate) unsafe fn choose(clauses: &[ChClause], deadline: i64) -> Result<Choice> {
    let context = Context::get()?;
    context.check_cancelled()?;
    for (index, clause) in clauses.iter().enumerate() {
        let (end, role) = match examine(clause) {
            Ok(known) => known,
            Err(error) => return Ok((index, Some(error))),
        };
        // SAFETY: the caller answers for the values of all clauses; `role` is that of this one.
        if let Some(outcome) = unsafe { meet(context, &end, role, clause.val.cast(), clause.len) } {
            return Ok((index, outcome.err()));
        }
    }
    if deadline == 0 {
        return Err(Errno::ETIMEDOUT);
    }
    wait_for_any(context, clauses, deadline)
}

fn examine(clause: &ChClause) -> Result<(Ref<ChannelEnd>, ChannelRole)> {
    let end = object::find::<ChannelEnd>(clause.ch)?;
    if clause.val.is_null() && clause.len > 0 {
        return Err(Errno::EINVAL);
    }
    match clause.op {
        CHSEND => Ok((end, ChannelRole::Send)),
        CHRECV => Ok((end, ChannelRole::Receive)),
        _ => Err(Errno::EINVAL),
    }
}

/// Clauses that fit on the stack.
const FEW: usize = 4;

fn wait_for_any(context: &Context, clauses: &[ChClause], deadline: i64) -> Result<Choice> {
    if clauses.len() <= FEW {
        let mut parties: [Option<(Party, Ref<ChannelEnd>)>; FEW] = [const { None }; FEW];
        for (index, clause) in clauses.iter().enumerate() {
            parties[index] = Some(party_of(index, clause)?);
        }
        return wait_listed(context, clauses, parties.iter().flatten(), deadline);
    }
    let mut parties: Vec<(Party, Ref<ChannelEnd>)> = Vec::new();
    parties.try_reserve_exact(clauses.len()).map_err(|_| Errno::ENOMEM)?;
    for (index, clause) in clauses.iter().enumerate() {
        parties.push(party_of(index, clause)?);
    }
    wait_listed(context, clauses, parties.iter(), deadline)
}

fn party_of(index: usize, clause: &ChClause) -> Result<(Party, Ref<ChannelEnd>)> {
    let id = c_int::try_from(index).map_err(|_| Errno::EINVAL)?;
    let (end, _) = examine(clause)?;
    let role = if clause.op == CHSEND { ChannelRole::Send } else { ChannelRole::Receive };
    let party =
        Party { clause: Clause::new(id, role.awaits(clause.ch)), value: clause.val.cast(), len: clause.len };
    Ok((party, end))
}

fn wait_listed<'a>(
    context: &Context,
    clauses: &[ChClause],
    parties: impl Iterator<Item = &'a (Party, Ref<ChannelEnd>)>,
    deadline: i64,
) -> Result<Choice> {
    for ((party, end), clause) in parties.zip(clauses) {
        let role = if clause.op == CHSEND { ChannelRole::Send } else { ChannelRole::Receive };
        // SAFETY: the parties belong to the caller and stay in place until the wait has ended,
        // which unlinks all of them; the references keep the lists in place.
        unsafe { end.direction(role).list(role).push_back(party) };
        context.arm(&party.clause);
    }
    // SAFETY: as above.
    let wake = unsafe { context.wait_armed(deadline) };
    match usize::try_from(wake.id) {
        Ok(index) => Ok((index, wake.error)),
        Err(_) => Err(wake.error.unwrap_or(Errno::ETIMEDOUT)),
    }
}

// Without a switch, so that Miri can run them.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::rt::clock;

    fn waits(handle: c_int) -> bool {
        let end = object::find::<ChannelEnd>(handle).unwrap();
        [ChannelRole::Send, ChannelRole::Receive]
            .iter()
            .any(|&role| !end.direction(role).list(role).is_empty())
    }

    fn receive_clause(ch: c_int, value: &mut u32) -> ChClause {
        ChClause { op: CHRECV, ch, val: ptr::from_mut(value).cast(), len: size_of::<u32>() }
    }

    #[test]
    fn a_message_goes_to_whoever_waits_and_takes_it_off_the_list() {
        let context = Context::get().unwrap();
        let [sender, receiver] = make().unwrap();
        let end = object::find::<ChannelEnd>(receiver).unwrap();
        let (mut place, value) = (0u32, 7u32);
        let party = Party {
            clause: Clause::new(0, ChannelRole::Receive.awaits(receiver)),
            value: (&raw mut place).cast(),
            len: size_of::<u32>(),
        };
        // SAFETY: sending takes it off the list.
        unsafe { end.direction(ChannelRole::Receive).list(ChannelRole::Receive).push_back(&party) };
        context.arm(&party.clause);
        assert!(waits(receiver));
        // SAFETY: the value has this size.
        unsafe { send(context, sender, (&raw const value).cast(), size_of::<u32>(), 0) }.unwrap();
        assert_eq!(place, 7);
        assert!(!waits(receiver));
    }

    #[test]
    fn a_wait_that_times_out_leaves_nothing_behind() {
        let [a, b] = make().unwrap();
        let mut value = 0u32;
        // SAFETY: the value has this size.
        let received = unsafe {
            recv(Context::get().unwrap(), a, (&raw mut value).cast(), size_of::<u32>(), clock::now() + 2)
        };
        assert_eq!(received, Err(Errno::ETIMEDOUT));
        assert!(!waits(a) && !waits(b));
    }

    #[test]
    fn choose_withdraws_all_of_its_clauses() {
        let [a, b] = make().unwrap();
        for count in [FEW, FEW + 2] {
            let mut values = vec![0u32; count];
            let clauses: Vec<ChClause> = values.iter_mut().map(|value| receive_clause(a, value)).collect();
            // SAFETY: the values have this size.
            let chosen = unsafe { choose(&clauses, clock::now() + 2) };
            assert_eq!(chosen, Err(Errno::ETIMEDOUT));
            assert!(!waits(a) && !waits(b));
        }
        handle::close(a).unwrap();
        handle::close(b).unwrap();
    }
}
