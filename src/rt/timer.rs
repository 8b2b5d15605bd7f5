//! Timers: a pairing heap threaded through the waiters' own stacks.
//!
//! Ordered by deadline and, among equal deadlines, by the order in which the waits began. Adding
//! is O(1), removing O(log n) amortised; no allocation, no recursion.

use core::cell::Cell;
use core::ptr;

/// The heap's part of a timer.
pub(crate) struct Node<T> {
    deadline: Cell<i64>,
    order: Cell<u64>,
    child: Cell<*const Node<T>>,
    /// The next sibling to the right.
    next: Cell<*const Node<T>>,
    /// The sibling to the left, or the parent of a first child.
    prev: Cell<*const Node<T>>,
    owner: Cell<*const T>,
}

impl<T> Node<T> {
    /// A node that is in no heap yet.
    pub(crate) fn new(deadline: i64) -> Node<T> {
        Node {
            deadline: Cell::new(deadline),
            order: Cell::new(0),
            child: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
            prev: Cell::new(ptr::null()),
            owner: Cell::new(ptr::null()),
        }
    }

    /// Says whose it is.
    pub(crate) fn belongs_to(&self, owner: &T) {
        self.owner.set(owner);
    }

    /// Whose it is.
    pub(crate) fn owner(&self) -> *const T {
        self.owner.get()
    }

    /// Changes when it is due, while it is in no heap.
    pub(super) fn set_deadline(&self, deadline: i64) {
        self.deadline.set(deadline);
    }

    /// When it is due.
    pub(crate) fn deadline(&self) -> i64 {
        self.deadline.get()
    }

    fn before(&self, other: &Node<T>) -> bool {
        (self.deadline.get(), self.order.get()) < (other.deadline.get(), other.order.get())
    }
}

/// All timers of a thread.
pub(super) struct Heap<T> {
    root: Cell<*const Node<T>>,
    started: Cell<u64>,
}

impl<T> Heap<T> {
    /// An empty heap.
    pub(super) const fn new() -> Heap<T> {
        Heap { root: Cell::new(ptr::null()), started: Cell::new(0) }
    }

    /// The timer that is due first, or null.
    pub(super) fn first(&self) -> *const Node<T> {
        self.root.get()
    }

    /// Adds a timer.
    ///
    /// # Safety
    /// `node` is in no heap, and is removed before it goes away or moves.
    pub(super) unsafe fn insert(&self, node: &Node<T>) {
        node.order.set(self.started.get());
        self.started.set(self.started.get() + 1);
        // SAFETY: the root is null or alive, the node is alive and alone.
        self.root.set(unsafe { meld(self.root.get(), node) });
    }

    /// Takes a timer out.
    ///
    /// # Safety
    /// `node` is in this heap.
    pub(super) unsafe fn remove(&self, node: &Node<T>) {
        // SAFETY: the children of a node in the heap are alive.
        let rest = unsafe { merge_pairs(node.child.get()) };
        if ptr::eq(self.root.get(), node) {
            self.root.set(rest);
        } else {
            // SAFETY: every node but the root has a living left sibling or parent.
            let prev = unsafe { &*node.prev.get() };
            if ptr::eq(prev.child.get(), node) {
                prev.child.set(node.next.get());
            } else {
                prev.next.set(node.next.get());
            }
            // SAFETY: a sibling in the heap is alive.
            if let Some(next) = unsafe { node.next.get().as_ref() } {
                next.prev.set(prev);
            }
            // SAFETY: both are null or alive heaps of their own.
            self.root.set(unsafe { meld(self.root.get(), rest) });
        }
        node.child.set(ptr::null());
        node.next.set(ptr::null());
        node.prev.set(ptr::null());
    }
}

/// Joins two heaps; the root that is due first becomes the root of both.
///
/// # Safety
/// Each is null or a living root.
unsafe fn meld<T>(a: *const Node<T>, b: *const Node<T>) -> *const Node<T> {
    // SAFETY: null or a living root, as the caller says.
    let Some(left) = (unsafe { a.as_ref() }) else { return b };
    // SAFETY: null or a living root, as the caller says.
    let Some(right) = (unsafe { b.as_ref() }) else { return a };
    let (parent, child) = if right.before(left) { (right, left) } else { (left, right) };
    child.prev.set(parent);
    child.next.set(parent.child.get());
    // SAFETY: the children of a living node are alive.
    if let Some(old) = unsafe { parent.child.get().as_ref() } {
        old.prev.set(child);
    }
    parent.child.set(child);
    parent.next.set(ptr::null());
    parent.prev.set(ptr::null());
    parent
}

/// Makes one heap of a list of siblings: joins them in pairs from the left, then the pairs from
/// the right.
///
/// # Safety
/// `first` is null or the first of a list of living siblings.
unsafe fn merge_pairs<T>(first: *const Node<T>) -> *const Node<T> {
    let mut pairs: *const Node<T> = ptr::null();
    let mut next = first;
    // SAFETY: siblings are alive.
    while let Some(a) = unsafe { next.as_ref() } {
        let b = a.next.get();
        // SAFETY: siblings are alive.
        next = unsafe { b.as_ref() }.map_or(ptr::null(), |b| b.next.get());
        a.next.set(ptr::null());
        // SAFETY: two living roots, or one and null.
        let pair = unsafe { meld(a, b) };
        // SAFETY: `meld` returns a living root, since `a` is not null. The stack of pairs is
        // threaded through `prev`, which a root does not use.
        unsafe { &*pair }.prev.set(pairs);
        pairs = pair;
    }
    let mut root: *const Node<T> = ptr::null();
    // SAFETY: the stack of pairs consists of living roots.
    while let Some(pair) = unsafe { pairs.as_ref() } {
        pairs = pair.prev.get();
        pair.prev.set(ptr::null());
        // SAFETY: two living roots, or one and null.
        root = unsafe { meld(root, pair) };
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(heap: &Heap<()>) -> Vec<(i64, u64)> {
        let mut seen = Vec::new();
        // SAFETY: the nodes of the test outlive the heap.
        while let Some(node) = unsafe { heap.first().as_ref() } {
            seen.push((node.deadline(), node.order.get()));
            // SAFETY: the first node is in the heap.
            unsafe { heap.remove(node) };
        }
        seen
    }

    #[test]
    fn fires_by_deadline_and_among_equals_in_order_of_starting() {
        let heap = Heap::new();
        let nodes: Vec<Node<()>> = (0..500u32).map(|i| Node::new(i64::from(i * 7919 % 50))).collect();
        for node in &nodes {
            // SAFETY: the nodes live until the heap is drained.
            unsafe { heap.insert(node) };
        }
        let seen = drain(&heap);
        assert_eq!(seen.len(), 500);
        assert!(seen.is_sorted());
    }

    #[test]
    fn any_timer_can_be_withdrawn() {
        let heap = Heap::new();
        let nodes: Vec<Node<()>> = (0..300u32).map(|i| Node::new(i64::from(i * 31 % 97))).collect();
        for node in &nodes {
            // SAFETY: the nodes live until the heap is drained.
            unsafe { heap.insert(node) };
        }
        for node in nodes.iter().step_by(3) {
            // SAFETY: each of them is still in the heap.
            unsafe { heap.remove(node) };
        }
        let seen = drain(&heap);
        assert_eq!(seen.len(), 200);
        assert!(seen.is_sorted());
    }
}
