//! Random bytes from the operating system, fetched in batches: a masking key must not cost a
//! system call.

use crate::error::{Errno, Result};
use crate::rt::above::{Hooks, PerThread};
use crate::rt::context::Context;
use crate::rt::process::{WipedOnFork, Zeroable};
use core::cell::{Cell, RefCell};

const BATCH: usize = 1024;

struct RandomPool {
    bytes: RefCell<[u8; BATCH]>,
    /// How many bytes at the end of the batch nobody has got.
    left: Cell<usize>,
}

// SAFETY: a batch of which nothing is left, and which nobody has borrowed.
unsafe impl Zeroable for RandomPool {}

/// The unused bytes of a thread. A child process does not have those of its parent.
struct Random(Cell<Option<WipedOnFork<RandomPool>>>);

// SAFETY: no batch, which is a null pointer.
unsafe impl Zeroable for Random {}

// SAFETY: the second room.
unsafe impl PerThread for Random {
    const NUMBER: usize = 1;
}

static HOOKS: Hooks = Hooks {
    number: Random::NUMBER,
    at_end: |context| drop(context.kept::<Random>().0.take()),
    in_child: |context| context.kept::<Random>().forget(),
};

impl Context {
    /// Bytes that nobody else gets. ENOMEM.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N]> {
        self.kept::<Random>().take(self)
    }
}

impl Random {
    fn take<const N: usize>(&self, context: &Context) -> Result<[u8; N]> {
        const { assert!(N <= BATCH) };
        let pool = match self.pool() {
            Some(pool) => pool,
            None => self.make(context)?,
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

    fn pool(&self) -> Option<&RandomPool> {
        // SAFETY: a shared look; once made, it stays until the thread ends.
        unsafe { &*self.0.as_ptr() }.as_deref()
    }

    #[cold]
    fn make(&self, context: &Context) -> Result<&RandomPool> {
        self.0.set(Some(WipedOnFork::new()?));
        context.register(&HOOKS);
        self.pool().ok_or(Errno::ENOMEM)
    }

    /// Drops the batch.
    fn forget(&self) {
        if let Some(pool) = self.pool() {
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
