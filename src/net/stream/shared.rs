//! Bytes that several streams of a thread have to send, in one copy. (The standard library's `Rc` ends the process
//! when there is no memory for its counts.)

use crate::error::Result;
use crate::memory::try_box;
use core::cell::Cell;
use core::ops::Deref;
use core::ptr::NonNull;

struct Counted {
    references: Cell<usize>,
    bytes: Vec<u8>,
    /// Where they begin.
    start: usize,
}

/// A reference to such bytes.
pub(crate) struct Shared(NonNull<Counted>);

impl Shared {
    /// What lies in `bytes` from `start` on. ENOMEM.
    pub(crate) fn new(bytes: Vec<u8>, start: usize) -> Result<Shared> {
        let counted = try_box(Counted { references: Cell::new(1), bytes, start })?;
        Ok(Shared(NonNull::from(Box::leak(counted))))
    }

    fn counted(&self) -> &Counted {
        // SAFETY: a reference keeps them alive, and they are only ever shared.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for Shared {
    fn clone(&self) -> Shared {
        let references = &self.counted().references;
        references.set(references.get() + 1);
        Shared(self.0)
    }
}

impl Deref for Shared {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        let counted = self.counted();
        &counted.bytes[counted.start..]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let left = self.counted().references.get() - 1;
        self.counted().references.set(left);
        if left == 0 {
            // SAFETY: made of a box by `new`, and this was the last reference.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_as_long_as_its_last_reference() {
        let Ok(first) = Shared::new(vec![1, 2, 3], 1) else { panic!("no memory") };
        let second = first.clone();
        assert_eq!(first.as_ptr(), second.as_ptr());
        drop(first);
        assert_eq!(*second, [2, 3]);
    }
}
