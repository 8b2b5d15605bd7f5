//! When to try which address: RFC 8305, with a world that is told what to do. No I/O, no clock.

use crate::error::{Errno, Result};
use crate::net::addr::IpAddr;
use core::convert::Infallible;
use std::collections::VecDeque;

/// For so long only the IPv6 addresses are waited for, in ms: RFC 8305, 3, the resolution delay.
pub(crate) const HEAD_START: i64 = 50;
/// So long after one attempt the next one begins, in ms: RFC 8305, 5, the connection attempt delay.
pub(crate) const ATTEMPT_DELAY: i64 = 300;

/// A family of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IpFamily {
    /// IPv6.
    V6,
    /// IPv4.
    V4,
}

impl IpFamily {
    fn other(self) -> IpFamily {
        match self {
            IpFamily::V6 => IpFamily::V4,
            IpFamily::V4 => IpFamily::V6,
        }
    }
}

/// What the world has to tell.
pub(crate) enum RaceEvent<C> {
    /// The addresses of a family. Comes once for each.
    Found(IpFamily, Vec<IpAddr>),
    /// An attempt has made a connection.
    Connected(C),
    /// An attempt has failed.
    Failed(Errno),
    /// The time has come.
    TimeUp,
}

/// Names, connections and time. Both lookups are under way from the beginning.
pub(crate) trait World {
    /// A connection.
    type Connected;

    /// The time, in ms.
    fn now(&self) -> i64;

    /// Begins to connect; returns the connection if it was made at once.
    fn begin(&mut self, address: &IpAddr) -> Result<Option<Self::Connected>>;

    /// Waits for an event, at most until a time, if it is not negative.
    fn wait(&mut self, until: i64) -> Result<RaceEvent<Self::Connected>>;
}

/// How the race ends.
enum Outcome<C> {
    Error(Errno),
    Won(C),
}

impl<C> From<Errno> for Outcome<C> {
    fn from(error: Errno) -> Outcome<C> {
        Outcome::Error(error)
    }
}

/// A part of the race, which may be its end.
type RaceStep<T, C> = core::result::Result<T, Outcome<C>>;

struct Race<'w, W: World> {
    world: &'w mut W,
    deadline: i64,
    /// By family: addresses not yet tried; None until they were found.
    found: [Option<VecDeque<IpAddr>>; 2],
    preferred: IpFamily,
    /// Attempts under way.
    pending: usize,
    failure: Option<Errno>,
}

/// Connects to one of the addresses. ETIMEDOUT; EADDRNOTAVAIL if there are none; the error of the
/// last attempt if none is left to be made; whatever the world's waiting fails with.
pub(crate) fn race<W: World>(world: &mut W, deadline: i64) -> Result<W::Connected> {
    let found = [None, None];
    let mut race = Race { world, deadline, found, preferred: IpFamily::V6, pending: 0, failure: None };
    match race.run() {
        Ok(never) => match never {},
        Err(Outcome::Error(error)) => Err(error),
        Err(Outcome::Won(connection)) => Ok(connection),
    }
}

impl<W: World> Race<'_, W> {
    fn run(&mut self) -> RaceStep<Infallible, W::Connected> {
        let head_start = self.world.now() + HEAD_START;
        while self.found[IpFamily::V6 as usize].is_none() && self.world.now() < head_start {
            self.wait(head_start)?;
        }
        loop {
            // The delay counts from here, even if an address is still to be waited for.
            let mut begin = self.world.now();
            let address = loop {
                match self.take() {
                    Some(address) => break address,
                    None if self.is_lost() => {
                        return Err(self.failure.unwrap_or(Errno::EADDRNOTAVAIL).into());
                    }
                    // A family that turns out to be empty has the delay begin anew.
                    None if self.wait(-1)? == Some(0) => begin = self.world.now(),
                    None => {}
                }
            };
            match self.world.begin(&address) {
                Ok(Some(connection)) => return Err(Outcome::Won(connection)),
                Ok(None) => self.pending += 1,
                Err(error) => self.failure = Some(error),
            }
            // RFC 8305, 5 delays an attempt for the sake of those under way; if they all have
            // failed there is nothing to wait for.
            while self.pending > 0 && self.world.now() < begin + ATTEMPT_DELAY {
                self.wait(begin + ATTEMPT_DELAY)?;
            }
        }
    }

    /// The next address: of the preferred family, if it has one. RFC 8305, 4: the families take
    /// turns.
    fn take(&mut self) -> Option<IpAddr> {
        let preferred = self.preferred;
        if let Some(address) = self.take_from(preferred) {
            self.preferred = preferred.other();
            return Some(address);
        }
        self.take_from(preferred.other())
    }

    fn take_from(&mut self, family: IpFamily) -> Option<IpAddr> {
        self.found[family as usize].as_mut()?.pop_front()
    }

    /// No address is left, none is looked for, and no attempt is under way.
    fn is_lost(&self) -> bool {
        self.pending == 0 && self.found.iter().all(Option::is_some)
    }

    /// Waits for something to happen, at most until a time. Returns how many addresses were found
    /// if a lookup came to its end.
    fn wait(&mut self, until: i64) -> RaceStep<Option<usize>, W::Connected> {
        let first = match (until, self.deadline) {
            (until, deadline) if deadline < 0 => until,
            (until, deadline) if until < 0 => deadline,
            (until, deadline) => until.min(deadline),
        };
        match self.world.wait(first)? {
            RaceEvent::Found(family, addresses) => {
                let count = addresses.len();
                self.found[family as usize] = Some(addresses.into());
                return Ok(Some(count));
            }
            RaceEvent::Connected(connection) => return Err(Outcome::Won(connection)),
            RaceEvent::Failed(error) => {
                self.pending -= 1;
                self.failure = Some(error);
            }
            RaceEvent::TimeUp if self.deadline >= 0 && self.world.now() >= self.deadline => {
                return Err(Errno::ETIMEDOUT.into());
            }
            RaceEvent::TimeUp => {}
        }
        Ok(None)
    }
}
