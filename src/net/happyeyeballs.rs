//! Connecting to a name that may have addresses of both families: Happy Eyeballs, RFC 8305.
//!
//! `race` decides; here are the lookups, the sockets and the clock that it works with, all waited
//! for at once by the calling coroutine.

pub(crate) mod race;
#[cfg(test)]
mod tests;

use super::addr::{self, IpAddr, Mode};
use super::listener;
use super::resolve::Lookup;
use super::socket::{self, Fd};
use super::stream;
use crate::error::{Errno, Result};
use crate::memory::try_push;
use crate::rt::clock;
use crate::rt::context::Context;
use crate::rt::poller::Direction;
use crate::rt::wait::{Clause, Source};
use core::ffi::{CStr, c_int};
use race::{IpFamily, RaceEvent, World};
use std::collections::VecDeque;

/// How many addresses of a family are tried.
const MAX_ADDRESSES: usize = 10;

/// Connects to a name by TCP and returns the connection's handle. EINVAL unless the port is 1 to
/// 65535, EADDRNOTAVAIL if the name has no address, ETIMEDOUT, ECANCELED, ENOMEM, EMFILE, ENFILE, and
/// what the last attempt failed with if all have.
pub(crate) fn connect(name: &CStr, port: c_int, deadline: i64) -> Result<c_int> {
    let port = addr::port(port)?;
    if port == 0 {
        return Err(Errno::EINVAL);
    }
    let mut network = Network::new(Context::get()?, name, port)?;
    let fd = race::race(&mut network, deadline)?;
    listener::make_stream(fd, stream::Family::Tcp)
}

struct Network<'c> {
    context: &'c Context,
    port: u16,
    /// Known without waiting.
    events: VecDeque<RaceEvent<Fd>>,
    lookups: Vec<(IpFamily, Lookup)>,
    attempts: Vec<Attempt<'c>>,
}

/// A socket that is being connected.
struct Attempt<'c> {
    context: &'c Context,
    fd: Option<Fd>,
}

impl Attempt<'_> {
    fn fd(&self) -> c_int {
        self.fd.as_ref().map_or(-1, Fd::get)
    }

    /// How it ended.
    fn finish(mut self) -> Result<Fd> {
        let fd = self.fd.take().ok_or(Errno::EBADF)?;
        // Nobody else waits for it.
        let _ = self.context.poller.forget_user_fd(fd.get());
        socket::outcome(fd.get())?;
        Ok(fd)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(fd) = &self.fd {
            socket::make_close_abortive(fd.get());
        }
    }
}

impl<'c> Network<'c> {
    fn new(context: &'c Context, name: &CStr, port: u16) -> Result<Network<'c>> {
        let mut network =
            Network { context, port, events: VecDeque::new(), lookups: Vec::new(), attempts: Vec::new() };
        let (events, lookups) = (&mut network.events, &mut network.lookups);
        events.try_reserve(2).map_err(|_| Errno::ENOMEM)?;
        lookups.try_reserve(2).map_err(|_| Errno::ENOMEM)?;
        let literal = addr::literal(name, port, Mode::new(addr::PREFER_IPV6)?);
        for (family, native) in [(IpFamily::V6, libc::AF_INET6), (IpFamily::V4, libc::AF_INET)] {
            match literal {
                Some(address) if address.family() == native => {
                    let mut addresses = Vec::new();
                    try_push(&mut addresses, address)?;
                    events.push_back(RaceEvent::Found(family, addresses));
                }
                Some(_) => events.push_back(RaceEvent::Found(family, Vec::new())),
                None => lookups.push((family, Lookup::start(context, name, native)?)),
            }
        }
        Ok(network)
    }

    /// What is waited for: first the lookups, then the attempts.
    fn descriptor(&self, index: usize) -> (c_int, Direction) {
        match index.checked_sub(self.lookups.len()) {
            None => (self.lookups[index].1.wakeup(), Direction::In),
            Some(index) => (self.attempts[index].fd(), Direction::Out),
        }
    }

    /// What the end of the wait for a descriptor means; None: that it has to be waited for once more.
    fn event(&mut self, index: usize) -> Result<Option<RaceEvent<Fd>>> {
        if let Some(index) = index.checked_sub(self.lookups.len()) {
            return Ok(Some(match self.attempts.swap_remove(index).finish() {
                Ok(fd) => RaceEvent::Connected(fd),
                Err(error) => RaceEvent::Failed(error),
            }));
        }
        let Some(mut addresses) = self.lookups[index].1.take()? else { return Ok(None) };
        let (family, _) = self.lookups.swap_remove(index);
        addresses.truncate(MAX_ADDRESSES);
        for address in &mut addresses {
            address.set_port(c_int::from(self.port));
        }
        Ok(Some(RaceEvent::Found(family, addresses)))
    }

    /// Waits for all of them at once.
    fn wait_once(&mut self, until: i64) -> Result<Option<RaceEvent<Fd>>> {
        for (_, lookup) in &mut self.lookups {
            lookup.renew_after_fork(self.context)?;
        }
        self.context.check_cancelled()?;
        let mut clauses: Vec<Clause> = Vec::new();
        let count = self.lookups.len() + self.attempts.len();
        clauses.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        for index in 0..count {
            let (fd, direction) = self.descriptor(index);
            clauses.push(Clause::new(index as i32, Source::Descriptor(fd, direction)));
        }
        for (index, clause) in clauses.iter().enumerate() {
            let (fd, direction) = self.descriptor(index);
            // SAFETY: the clauses stay where they are until they have fired or were withdrawn.
            if let Err(error) = unsafe { self.context.poller.wait_user_fd(fd, direction, clause) } {
                for before in 0..index {
                    let (fd, direction) = self.descriptor(before);
                    self.context.poller.withdraw(fd, direction);
                }
                return Err(error);
            }
        }
        for clause in &clauses {
            self.context.arm(clause);
        }
        // SAFETY: the clauses stay where they are until this returns.
        let wake = unsafe { self.context.wait_armed(until) };
        drop(clauses);
        match wake.error {
            None => self.event(wake.id as usize),
            Some(Errno::ETIMEDOUT) => Ok(Some(RaceEvent::TimeUp)),
            Some(error) => Err(error),
        }
    }
}

impl World for Network<'_> {
    type Connected = Fd;

    fn now(&self) -> i64 {
        clock::now()
    }

    fn begin(&mut self, address: &IpAddr) -> Result<Option<Fd>> {
        self.attempts.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let fd = socket::open_stream(address.family())?;
        let len = address.native_len() as usize;
        self.context.poller.expect(fd.get())?;
        // SAFETY: the address is readable for its length.
        if unsafe { socket::connect(fd.get(), address.native(), len) }? {
            return Ok(Some(fd));
        }
        self.attempts.push(Attempt { context: self.context, fd: Some(fd) });
        Ok(None)
    }

    fn wait(&mut self, until: i64) -> Result<RaceEvent<Fd>> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        loop {
            if let Some(event) = self.wait_once(until)? {
                return Ok(event);
            }
        }
    }
}
