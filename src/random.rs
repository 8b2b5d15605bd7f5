//! Random bytes from the operating system, fetched in batches: a masking key must not cost a
//! system call.

use crate::error::{Errno, Result};
use crate::rt::process::{WipedOnFork, Zeroable};
use core::cell::{Cell, OnceCell, RefCell};

const BATCH: usize = 1024;

struct Pool {
    bytes: RefCell<[u8; BATCH]>,
    /// How many bytes at the end of the batch nobody has got.
    left: Cell<usize>,
}

// SAFETY: a batch of which nothing is left, and which nobody has borrowed.
unsafe impl Zeroable for Pool {}

/// The unused bytes of a thread. A child process does not have those of its parent.
pub(crate) struct Random(OnceCell<WipedOnFork<Pool>>);

impl Random {
    /// Without a batch.
    pub(crate) const fn new() -> Random {
        Random(OnceCell::new())
    }

    /// Bytes that nobody else gets. ENOMEM.
    pub(crate) fn take<const N: usize>(&self) -> Result<[u8; N]> {
        const { assert!(N <= BATCH) };
        let pool = match self.0.get() {
            Some(pool) => pool,
            None => self.make()?,
        };
        if pool.left.get() < N {
            fill(&mut *pool.bytes.borrow_mut())?;
            pool.left.set(BATCH);
        }
        let start = BATCH - pool.left.get();
        pool.left.set(pool.left.get() - N);
        let mut taken = [0; N];
        let mut bytes = pool.bytes.borrow_mut();
        taken.copy_from_slice(&bytes[start..start + N]);
        bytes[start..start + N].fill(0);
        Ok(taken)
    }

    #[cold]
    fn make(&self) -> Result<&WipedOnFork<Pool>> {
        let pool = WipedOnFork::new()?;
        Ok(self.0.get_or_init(|| pool))
    }

    /// Drops the batch.
    pub(crate) fn forget(&self) {
        if let Some(pool) = self.0.get() {
            pool.left.set(0);
        }
    }
}

/// How often getting a batch is tried if a signal comes in between.
const MAX_INTERRUPTIONS: u32 = 100;

/// ENOMEM if the operating system has none.
fn fill(bytes: &mut [u8]) -> Result<()> {
    let (mut filled, mut interruptions) = (0, 0);
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: `rest` is writable for its length.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match crate::error::check_size(got) {
            Ok(size) => filled += size,
            Err(Errno::EINTR) if interruptions < MAX_INTERRUPTIONS => interruptions += 1,
            Err(_) => return Err(Errno::ENOMEM),
        }
    }
    Ok(())
}
