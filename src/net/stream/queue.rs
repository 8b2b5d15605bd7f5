//! What was accepted for sending and waits for the kernel, in order.

use super::shared::Shared;
use crate::error::{Errno, Result};
use crate::memory::try_extend;
use std::collections::VecDeque;
use std::io::IoSlice;

/// Elements sent in one system call: few, since the array lies on a coroutine's stack.
pub(super) const BATCH: usize = 16;

/// A part of it.
enum QueuedPart {
    /// The stream's own copy.
    Bytes(Vec<u8>),
    /// What other streams send too.
    Shared(Shared),
}

impl QueuedPart {
    fn bytes(&self) -> &[u8] {
        match self {
            QueuedPart::Bytes(bytes) => bytes,
            QueuedPart::Shared(bytes) => bytes,
        }
    }
}

/// Empty ones own no memory.
#[derive(Default)]
pub(super) struct Queue {
    parts: VecDeque<QueuedPart>,
    /// How much of the first part has been sent.
    sent: usize,
    /// How much has not, of all parts.
    len: usize,
    /// Behind what somebody is still sending.
    held: VecDeque<Shared>,
    held_len: usize,
    /// A control frame to be sent at the end; replaced rather than added to.
    pending_control: Vec<u8>,
}

impl Queue {
    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.len + self.held_len + self.pending_control.len()
    }

    /// Whether nothing waits for the kernel.
    pub(super) fn is_clear(&self) -> bool {
        self.parts.is_empty() && self.pending_control.is_empty()
    }

    /// Whether something waits for somebody to end what he sends.
    pub(super) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Appends a copy. ENOMEM.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(QueuedPart::Bytes(last)) = self.parts.back_mut() {
            try_extend(last, bytes)?;
        } else {
            let mut part = Vec::new();
            try_extend(&mut part, bytes)?;
            self.push_part(QueuedPart::Bytes(part))?;
        }
        self.len += bytes.len();
        Ok(())
    }

    /// Appends all of shared bytes but for the first `sent`. What was to come at the end comes before them: there
    /// may be no end. ENOMEM.
    pub(super) fn push_shared(&mut self, bytes: &Shared, sent: usize) -> Result<()> {
        debug_assert!(sent == 0 || self.is_clear());
        self.queue_pending_control()?;
        self.push_part(QueuedPart::Shared(bytes.clone()))?;
        self.len += bytes.len();
        if sent > 0 {
            self.advance(sent);
        }
        Ok(())
    }

    fn push_part(&mut self, part: QueuedPart) -> Result<()> {
        self.parts.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.parts.push_back(part);
        Ok(())
    }

    /// Keeps shared bytes until `release`. ENOMEM.
    pub(super) fn hold(&mut self, bytes: &Shared) -> Result<()> {
        self.held.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.held.push_back(bytes.clone());
        self.held_len += bytes.len();
        Ok(())
    }

    /// Lets them follow. ENOMEM.
    pub(super) fn release(&mut self) -> Result<()> {
        while let Some(bytes) = self.held.pop_front() {
            self.held_len -= bytes.len();
            self.push_shared(&bytes, 0)?;
        }
        Ok(())
    }

    /// Drops them.
    pub(super) fn drop_held(&mut self) {
        self.held = VecDeque::new();
        self.held_len = 0;
    }

    /// Sets the control frame that comes at the end. ENOMEM.
    pub(super) fn set_pending_control(&mut self, bytes: &[u8]) -> Result<()> {
        self.pending_control.clear();
        try_extend(&mut self.pending_control, bytes)
    }

    /// Appends it. ENOMEM.
    pub(super) fn queue_pending_control(&mut self) -> Result<()> {
        if !self.pending_control.is_empty() {
            let pending_control = core::mem::take(&mut self.pending_control);
            self.push(&pending_control)?;
        }
        Ok(())
    }

    /// Drops the last `len` bytes if none of them was sent and they are the stream's own.
    pub(super) fn drop_unsent_tail(&mut self, len: usize) -> bool {
        let sent = if self.parts.len() == 1 { self.sent } else { 0 };
        let Some(QueuedPart::Bytes(last)) = self.parts.back_mut() else { return false };
        match last.len().checked_sub(len) {
            Some(rest) if rest >= sent => {
                last.truncate(rest);
                self.len -= len;
                if rest == sent {
                    self.parts.pop_back();
                    self.sent = if self.parts.is_empty() { 0 } else { self.sent };
                }
                true
            }
            _ => false,
        }
    }

    /// The first bytes that wait for the kernel, and no more than `most` of them; how many slices they are.
    pub(super) fn front<'a>(&'a self, slices: &mut [IoSlice<'a>; BATCH], most: usize) -> usize {
        let (mut skip, mut left) = (self.sent, most);
        let mut count = 0;
        for part in self.parts.iter().take(BATCH) {
            let bytes = &part.bytes()[skip..];
            let len = bytes.len().min(left);
            slices[count] = IoSlice::new(&bytes[..len]);
            (skip, left, count) = (0, left - len, count + 1);
            if left == 0 {
                break;
            }
        }
        count
    }

    /// Notes that so many bytes have been sent.
    pub(super) fn advance(&mut self, len: usize) {
        self.len -= len;
        self.sent += len;
        while let Some(first) = self.parts.front()
            && self.sent >= first.bytes().len()
        {
            self.sent -= first.bytes().len();
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(bytes: &[u8]) -> Shared {
        Shared::new(bytes.into(), 0).unwrap_or_else(|_| panic!("no memory"))
    }

    fn contents(queue: &Queue) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); BATCH];
        let count = queue.front(&mut slices, usize::MAX);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn keeps_the_order_of_copies_shared_bytes_and_the_control_frame() {
        let mut queue = Queue::default();
        queue.push(b"ab").expect("memory");
        queue.push_shared(&shared(b"cd"), 0).expect("memory");
        queue.set_pending_control(b"x").expect("memory");
        queue.set_pending_control(b"e").expect("memory");
        assert_eq!(queue.len(), 5);
        queue.push_shared(&shared(b"fg"), 0).expect("memory");
        assert_eq!(contents(&queue), b"abcdefg");
        queue.advance(3);
        assert_eq!((contents(&queue).as_slice(), queue.len()), (b"defg".as_slice(), 4));
        queue.advance(4);
        assert!(queue.is_clear() && queue.len() == 0);
    }

    #[test]
    fn no_more_is_shown_than_is_asked_for() {
        let mut queue = Queue::default();
        queue.push_shared(&shared(b"abc"), 1).expect("memory");
        queue.push(b"def").expect("memory");
        for (most, expected) in [(1, "b"), (2, "bc"), (3, "bcd"), (9, "bcdef")] {
            let mut slices = [IoSlice::new(&[]); BATCH];
            let count = queue.front(&mut slices, most);
            let shown: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            assert_eq!(shown, expected.as_bytes());
        }
    }

    #[test]
    fn what_is_held_follows_when_it_is_released() {
        let mut queue = Queue::default();
        queue.hold(&shared(b"cd")).expect("memory");
        assert!(queue.is_clear() && queue.has_held() && queue.len() == 2);
        queue.push(b"ab").expect("memory");
        queue.release().expect("memory");
        assert_eq!(contents(&queue), b"abcd");
        queue.hold(&shared(b"ef")).expect("memory");
        queue.drop_held();
        assert_eq!(queue.len(), 4);
    }

    #[test]
    fn an_unsent_tail_can_be_dropped_unless_it_is_shared() {
        let mut queue = Queue::default();
        queue.push(b"abcd").expect("memory");
        queue.advance(1);
        assert!(!queue.drop_unsent_tail(4));
        assert!(queue.drop_unsent_tail(2));
        assert_eq!(contents(&queue), b"b");
        queue.push_shared(&shared(b"cd"), 0).expect("memory");
        assert!(!queue.drop_unsent_tail(2));
        queue.push(b"e").expect("memory");
        assert!(queue.drop_unsent_tail(1));
        assert_eq!((contents(&queue).as_slice(), queue.len()), (b"bcd".as_slice(), 3));
        queue.advance(3);
        queue.push(b"f").expect("memory");
        assert!(queue.drop_unsent_tail(1) && queue.is_clear());
    }

    #[test]
    fn the_rest_of_shared_bytes_is_queued() {
        let mut queue = Queue::default();
        queue.push_shared(&shared(b"abcd"), 3).expect("memory");
        assert_eq!((contents(&queue).as_slice(), queue.len()), (b"d".as_slice(), 1));
    }
}
