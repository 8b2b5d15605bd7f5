//! Random bytes from the operating system, fetched in batches: a masking key must not cost a
//! system call.

use crate::error::{Errno, Result};
use core::cell::{Cell, RefCell};

const BATCH: usize = 1024;

/// The unused bytes of a thread.
pub struct Random {
    bytes: RefCell<[u8; BATCH]>,
    used: Cell<usize>,
}

impl Random {
    /// Without a batch.
    pub const fn new() -> Random {
        Random { bytes: RefCell::new([0; BATCH]), used: Cell::new(BATCH) }
    }

    /// Bytes that nobody else gets.
    pub fn take<const N: usize>(&self) -> Result<[u8; N]> {
        const { assert!(N <= BATCH) };
        if BATCH - self.used.get() < N {
            fill(&mut *self.bytes.borrow_mut())?;
            self.used.set(0);
        }
        let start = self.used.get();
        self.used.set(start + N);
        let mut taken = [0; N];
        let mut bytes = self.bytes.borrow_mut();
        taken.copy_from_slice(&bytes[start..start + N]);
        bytes[start..start + N].fill(0);
        Ok(taken)
    }

    /// Drops the batch, which after a fork the parent has too.
    pub fn forget(&self) {
        self.used.set(BATCH);
    }
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: `rest` is writable for its length.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match crate::error::check_size(got) {
            Ok(size) => filled += size,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
