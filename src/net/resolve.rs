//! Names: `getaddrinfo` on a helper thread, which tells the waiting coroutine through an eventfd.
//! It honours hosts, resolv.conf and nsswitch, and no other coroutine is held up.

use super::addr::{self, IpAddr, Mode};
use super::question::{self, Question};
use crate::error::{Errno, Result};
use crate::memory::try_push;
use crate::rt::context::Context;
use crate::rt::poller::{self, Direction};
use core::ffi::{CStr, c_int};

/// A lookup under way. When dropped nobody hears of it any more.
pub(crate) struct Lookup(Question);

impl Lookup {
    /// Asks for the addresses of one family. EMFILE, ENFILE, ENOMEM, and EAGAIN if there can be no
    /// thread.
    pub(crate) fn start(context: &Context, name: &CStr, family: c_int) -> Result<Lookup> {
        Lookup::ask(context, Question::new(name, family)?)
    }

    fn ask(context: &Context, question: Question) -> Result<Lookup> {
        let lookup = Lookup(question);
        // SAFETY: the question lives until the lookup is dropped, and with it the descriptor is forgotten.
        unsafe { context.poller.watch_forks(lookup.wakeup(), lookup.0.watcher()) }?;
        question::ask(&lookup.0)?;
        Ok(lookup)
    }

    /// The descriptor that is readable once the answer is there.
    pub(crate) fn wakeup(&self) -> c_int {
        self.0.wakeup()
    }

    /// To be called before each wait: in the child of a fork, the answer would come to the parent.
    pub(crate) fn renew_after_fork(&mut self, context: &Context) -> Result<()> {
        if self.0.is_lost() {
            *self = Lookup::ask(context, self.0.again()?)?;
        }
        Ok(())
    }

    /// The answer, once there is one: None if it has to be waited for. ENOMEM.
    pub(crate) fn take(&mut self) -> Result<Option<Vec<IpAddr>>> {
        if self.0.is_lost() { Ok(None) } else { self.0.take_answer().map(Some) }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        // Nobody else waits for it, so it can be forgotten.
        let _ = poller::forget(self.wakeup());
        question::withdraw(&self.0);
    }
}

/// All addresses of a name, at most `most`, the preferred family first. EINVAL, ETIMEDOUT,
/// ECANCELED, EMFILE, ENFILE, ENOMEM, EAGAIN. No address is no error.
pub(crate) fn remotes(
    name: &CStr,
    port: c_int,
    mode: c_int,
    most: usize,
    deadline: i64,
) -> Result<Vec<IpAddr>> {
    let port = addr::port(port)?;
    let mode = Mode::new(mode)?;
    let mut addresses = Vec::new();
    if let Some(address) = addr::literal(name, port, mode) {
        try_push(&mut addresses, address)?;
        return Ok(addresses);
    }
    // A literal of a family that is not wanted is no name.
    if addr::literal(name, port, Mode::new(0)?).is_some() {
        return Ok(addresses);
    }
    for family in mode.families() {
        if addresses.len() < most {
            for mut address in look_up(name, family, deadline)? {
                address.set_port(c_int::from(port));
                if !addresses.iter().any(|known: &IpAddr| known.equal(&address, true)) {
                    try_push(&mut addresses, address)?;
                }
            }
        }
    }
    addresses.truncate(most);
    Ok(addresses)
}

/// The first address of a name. EADDRNOTAVAIL if there is none.
pub(crate) fn remote(name: &CStr, port: c_int, mode: c_int, deadline: i64) -> Result<IpAddr> {
    remotes(name, port, mode, 1, deadline)?.first().copied().ok_or(Errno::EADDRNOTAVAIL)
}

fn look_up(name: &CStr, family: c_int, deadline: i64) -> Result<Vec<IpAddr>> {
    let context = Context::get()?;
    let mut lookup = Lookup::start(context, name, family)?;
    loop {
        lookup.renew_after_fork(context)?;
        poller::wait_user_fd(context, lookup.wakeup(), Direction::In, deadline)?;
        if let Some(found) = lookup.take()? {
            return Ok(found);
        }
    }
}
