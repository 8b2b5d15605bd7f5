//! Names: `getaddrinfo` on a helper thread, which tells the waiting coroutine through an eventfd.
//! It honours hosts, resolv.conf and nsswitch, and no other coroutine is held up.

use super::addr::{self, IpAddr, Mode};
use super::socket::Fd;
use crate::error::{self, Errno, Result};
use crate::rt::poller::{self, Direction};
use core::ffi::{CStr, c_int};
use std::ffi::CString;
use std::sync::{Arc, Mutex};

/// What the thread and the coroutine share; whoever is last frees it.
struct Shared {
    name: CString,
    family: c_int,
    wakeup: Fd,
    found: Mutex<Vec<IpAddr>>,
}

/// A lookup under way. When dropped it goes on by itself, and nobody hears of it.
pub struct Lookup(Arc<Shared>);

impl Lookup {
    /// Asks for the addresses of one family. EMFILE, ENFILE, ENOMEM, and EAGAIN if there can be no
    /// more threads.
    pub fn start(name: &CStr, family: c_int) -> Result<Lookup> {
        // SAFETY: the call takes no pointer.
        let wakeup = error::check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            family,
            wakeup: Fd::new(wakeup),
            found: Mutex::new(Vec::new()),
        });
        start_thread(Arc::clone(&shared))?;
        Ok(Lookup(shared))
    }

    /// The descriptor that is readable once the answer is there.
    pub fn wakeup(&self) -> c_int {
        self.0.wakeup.get()
    }

    /// The answer, once.
    pub fn take(self) -> Result<Vec<IpAddr>> {
        let mut found = self.0.found.lock().map_err(|_| Errno::ENOMEM)?;
        Ok(core::mem::take(&mut found))
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        // Nobody else waits for it, so it can be forgotten.
        let _ = poller::forget(self.wakeup());
    }
}

/// All addresses of a name, at most `most`, the preferred family first. EINVAL, ETIMEDOUT,
/// ECANCELED, EMFILE, ENFILE, ENOMEM. No address is no error.
pub fn remotes(name: &CStr, port: c_int, mode: c_int, most: usize, deadline: i64) -> Result<Vec<IpAddr>> {
    let port = addr::port(port)?;
    let mode = Mode::new(mode)?;
    let mut addresses = Vec::new();
    if let Some(address) = addr::literal(name, port, mode) {
        addresses.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        addresses.push(address);
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
                    addresses.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                    addresses.push(address);
                }
            }
        }
    }
    addresses.truncate(most);
    Ok(addresses)
}

/// The first address of a name. EADDRNOTAVAIL if there is none.
pub fn remote(name: &CStr, port: c_int, mode: c_int, deadline: i64) -> Result<IpAddr> {
    remotes(name, port, mode, 1, deadline)?.first().copied().ok_or(Errno::EADDRNOTAVAIL)
}

fn look_up(name: &CStr, family: c_int, deadline: i64) -> Result<Vec<IpAddr>> {
    let lookup = Lookup::start(name, family)?;
    poller::wait_foreign(lookup.wakeup(), Direction::In, deadline)?;
    lookup.take()
}

/// Starts a detached thread in which all signals are blocked: they are the program's.
fn start_thread(lookup: Arc<Shared>) -> Result<()> {
    // SAFETY: all zeros is a valid signal set to be filled.
    let mut all: libc::sigset_t = unsafe { core::mem::zeroed() };
    let mut before = all;
    // SAFETY: the set is writable.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets are valid; the thread inherits the mask.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    let started = std::thread::Builder::new().stack_size(256 * 1024).spawn(move || run(&lookup));
    // SAFETY: the set was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut()) };
    started.map(drop).map_err(|error| error.raw_os_error().map_or(Errno::ENOMEM, Errno::from_code))
}

fn run(lookup: &Shared) {
    let found = query(&lookup.name, lookup.family);
    if let Ok(mut place) = lookup.found.lock() {
        *place = found;
    }
    let one: u64 = 1;
    // SAFETY: eight readable bytes, as an eventfd wants; it cannot be full.
    unsafe { libc::write(lookup.wakeup.get(), (&raw const one).cast(), size_of::<u64>()) };
}

/// The addresses that the system knows; a name that is not known, and a server that does not
/// answer, have none.
fn query(name: &CStr, family: c_int) -> Vec<IpAddr> {
    // SAFETY: all zeros is a valid hint.
    let mut hints: libc::addrinfo = unsafe { core::mem::zeroed() };
    hints.ai_family = family;
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list = core::ptr::null_mut();
    // SAFETY: the name is a string, the hints are valid, the list is writable.
    let failed =
        unsafe { libc::getaddrinfo(name.as_ptr(), core::ptr::null(), &raw const hints, &raw mut list) };
    let mut found = Vec::new();
    if failed != 0 {
        return found;
    }
    let mut next = list;
    // SAFETY: the list is alive and ends with NULL.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ai_next;
        if entry.ai_family == family && !entry.ai_addr.is_null() {
            // SAFETY: an address is as long as the entry says.
            found.push(unsafe { IpAddr::from_native(entry.ai_addr.cast(), entry.ai_addrlen as usize) });
        }
    }
    // SAFETY: the list came from getaddrinfo and is freed once.
    unsafe { libc::freeaddrinfo(list) };
    found
}
