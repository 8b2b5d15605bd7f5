//! Intrusive, circular, doubly linked lists: a waiter lives on its own stack and costs no
//! allocation, and it can leave a list without knowing which one it is in.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr;

/// A place in a list.
pub(crate) struct Link {
    prev: Cell<*const Link>,
    next: Cell<*const Link>,
}

impl Link {
    /// A link in no list.
    pub(crate) const fn new() -> Link {
        Link { prev: Cell::new(ptr::null()), next: Cell::new(ptr::null()) }
    }

    /// Leaves the list, if in one.
    pub(crate) fn unlink(&self) {
        let (prev, next) = (self.prev.get(), self.next.get());
        if next.is_null() {
            return;
        }
        // SAFETY: a linked link's neighbours are alive: whoever goes away unlinks itself first.
        unsafe { &*prev }.next.set(next);
        // SAFETY: as above.
        unsafe { &*next }.prev.set(prev);
        self.prev.set(ptr::null());
        self.next.set(ptr::null());
    }
}

/// Where a debugger finds the next link.
pub(super) const NEXT: usize = core::mem::offset_of!(Link, next);

/// Something that can be listed.
///
/// # Safety
/// It is `repr(C)` and begins with a `Link`, or with something of which that is true. So a pointer
/// to the whole and a pointer to its link are the same address.
pub(crate) unsafe trait Linked {}

// SAFETY: it is one.
unsafe impl Linked for Link {}

/// The head of a list. It must not move while anything is linked.
pub(crate) struct List<T> {
    head: Link,
    listed: PhantomData<*const T>,
}

impl<T: Linked> List<T> {
    /// An empty list.
    pub(crate) const fn new() -> List<T> {
        List { head: Link::new(), listed: PhantomData }
    }

    /// Appends something.
    ///
    /// # Safety
    /// It is in no list, and is unlinked before it goes away or moves.
    pub(crate) unsafe fn push_back(&self, item: &T) {
        let head: *const Link = &self.head;
        // Made of the whole, so that whoever finds it in the list may use all of it.
        let pointer = ptr::from_ref(item).cast::<Link>();
        // SAFETY: what is listed begins with its link.
        let link = unsafe { &*pointer };
        if self.head.next.get().is_null() {
            self.head.next.set(head);
            self.head.prev.set(head);
        }
        let last = self.head.prev.get();
        link.prev.set(last);
        link.next.set(head);
        // SAFETY: the last link of a list is alive (or it is the head itself).
        unsafe { &*last }.next.set(pointer);
        self.head.prev.set(pointer);
    }

    /// The first one, which is alive, or null.
    pub(crate) fn front(&self) -> *const T {
        let first = self.head.next.get();
        if ptr::eq(first, &self.head) { ptr::null() } else { first.cast() }
    }

    /// The one behind an item of the list, which is alive, or null.
    pub(crate) fn behind(&self, item: &T) -> *const T {
        // SAFETY: what is listed begins with its link.
        let link = unsafe { &*ptr::from_ref(item).cast::<Link>() };
        let next = link.next.get();
        if ptr::eq(next, &self.head) { ptr::null() } else { next.cast() }
    }

    /// Whether nothing is linked.
    pub(crate) fn is_empty(&self) -> bool {
        self.front().is_null()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_lets_any_link_leave() {
        let list = List::new();
        let links = [Link::new(), Link::new(), Link::new()];
        for link in &links {
            // SAFETY: the links outlive the list's use below and do not move.
            unsafe { list.push_back(link) };
        }
        assert!(ptr::eq(list.behind(&links[0]), &links[1]));
        links[1].unlink();
        links[1].unlink();
        assert!(ptr::eq(list.behind(&links[0]), &links[2]));
        assert!(list.behind(&links[2]).is_null());
        assert!(ptr::eq(list.front(), &links[0]));
        links[0].unlink();
        assert!(ptr::eq(list.front(), &links[2]));
        links[2].unlink();
        assert!(list.is_empty());
    }
}
