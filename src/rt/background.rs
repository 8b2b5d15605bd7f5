//! What a thread does without a coroutine: when it polls next, at a time, and when input comes that nobody
//! waits for.

use super::big_stack::BigStack;
use super::budget::SLICE;
use super::clock;
use super::context::Context;
use super::list::{Link, Linked, List};
use super::timer;
use core::cell::Cell;
use core::ptr::NonNull;

/// How many alarms are dealt with between two polls: each may cost a system call or two.
const MAX_ALARMS: usize = 64;

/// Whoever does something without a coroutine. Nothing of it may wait, or call the program.
pub(crate) trait Background {
    /// Input has come to its descriptor, and nobody waits for it.
    fn input_comes(&self, context: &Context);
    /// The thread polls next.
    fn work(&self, context: &Context);
    /// The time of its alarm has come, and descriptors were polled since.
    fn alarm(&self, context: &Context, now: i64);
    /// This is the child of a fork, in which nothing is done any more.
    fn abandoned(&self);
}

/// Something to be done before the thread polls next.
#[repr(C)]
pub(crate) struct Task {
    link: Link,
    is_queued: Cell<bool>,
    owner: Cell<Option<NonNull<dyn Background>>>,
}

// SAFETY: its link comes first.
unsafe impl Linked for Task {}

impl Task {
    /// Nothing to do.
    pub(crate) const fn new() -> Task {
        Task { link: Link::new(), is_queued: Cell::new(false), owner: Cell::new(None) }
    }

    /// Takes it out of the queue, if it is in it.
    pub(crate) fn withdraw(&self) {
        self.link.unlink();
        self.is_queued.set(false);
    }
}

/// Something to be done at a time.
pub(crate) struct Alarm {
    node: timer::Node<Alarm>,
    is_armed: Cell<bool>,
    owner: Cell<Option<NonNull<dyn Background>>>,
}

impl Alarm {
    /// At no time.
    pub(crate) fn new() -> Alarm {
        Alarm { node: timer::Node::new(0), is_armed: Cell::new(false), owner: Cell::new(None) }
    }

    /// Takes the time back, if there is one.
    pub(crate) fn disarm(&self, context: &Context) {
        if self.is_armed.replace(false) {
            // SAFETY: it is in the heap as long as it is armed.
            unsafe { context.alarms.remove(&self.node) };
        }
    }
}

impl Context {
    /// Has `work` called before the thread polls next.
    ///
    /// # Safety
    /// Both stay in place until the task is withdrawn.
    pub(crate) unsafe fn queue(&self, task: &Task, owner: &(dyn Background + 'static)) {
        // SAFETY: as the caller says.
        unsafe { enlist(&self.tasks, task, owner) };
    }

    /// The same, but not before `queue_put_off`. What is queued or put off already stays where it is.
    ///
    /// # Safety
    /// Both stay in place until the task is withdrawn.
    pub(crate) unsafe fn put_off(&self, task: &Task, owner: &(dyn Background + 'static)) {
        // SAFETY: as the caller says.
        unsafe { enlist(&self.put_off, task, owner) };
    }

    /// Queues the first of those that were put off.
    pub(crate) fn queue_put_off(&self) {
        // SAFETY: what is put off is alive.
        if let Some(task) = unsafe { self.put_off.front().as_ref() } {
            task.link.unlink();
            // SAFETY: it has just left its list, and stays until it is withdrawn, by the contract of `put_off`.
            unsafe { self.tasks.push_back(task) };
        }
    }

    /// Has `alarm` called at a time, in ms, instead of at the time before.
    ///
    /// # Safety
    /// Both stay in place until the alarm is disarmed.
    pub(crate) unsafe fn arm_alarm(&self, alarm: &Alarm, owner: &(dyn Background + 'static), time: i64) {
        alarm.disarm(self);
        alarm.is_armed.set(true);
        alarm.owner.set(Some(NonNull::from(owner)));
        alarm.node.set_deadline(time);
        alarm.node.belongs_to(alarm);
        // SAFETY: it was disarmed above, and stays in place until it is disarmed again, as the caller says.
        unsafe { self.alarms.insert(&alarm.node) };
    }

    /// Does what was put off until the thread polls, for about a time slice: the rest is put off again.
    #[inline(never)]
    pub(super) fn run_tasks(&self) {
        let end = clock::nanoseconds() + SLICE;
        on_big_stack(|| {
            // SAFETY: a queued task is alive.
            while let Some(task) = unsafe { self.tasks.front().as_ref() } {
                task.withdraw();
                if let Some(owner) = task.owner.take() {
                    // SAFETY: by the contract of `queue`.
                    unsafe { owner.as_ref() }.work(self);
                }
                if clock::nanoseconds() >= end {
                    return;
                }
            }
        });
    }

    /// Does what is due, or some of it: what is left is done after the next poll, and others run meanwhile.
    #[inline(always)]
    pub(super) fn run_alarms(&self, now: i64) {
        if self.alarm_time().is_some_and(|time| time <= now) {
            self.run_due_alarms(now);
        }
    }

    #[inline(never)]
    fn run_due_alarms(&self, now: i64) {
        let is_due = |alarm: &&Alarm| alarm.node.deadline() <= now;
        on_big_stack(|| {
            for _ in 0..MAX_ALARMS {
                let Some(alarm) = self.first_alarm().filter(is_due) else { return };
                alarm.disarm(self);
                if let Some(owner) = alarm.owner.get() {
                    // SAFETY: by the contract of `arm_alarm`.
                    unsafe { owner.as_ref() }.alarm(self, now);
                }
            }
        });
    }

    /// When the first alarm is due, in ms.
    pub(super) fn alarm_time(&self) -> Option<i64> {
        self.first_alarm().map(|alarm| alarm.node.deadline())
    }

    fn first_alarm(&self) -> Option<&Alarm> {
        // SAFETY: what is in the heap is alive.
        let first = unsafe { self.alarms.first().as_ref() }?;
        // SAFETY: a node belongs to the alarm that it is part of.
        unsafe { first.owner().as_ref() }
    }

    /// In the child of a fork, nothing of this is done any more.
    pub(super) fn abandon_background(&self) {
        // SAFETY: a queued task is alive.
        while let Some(task) = unsafe { self.tasks.front().as_ref() } {
            task.withdraw();
            abandon(task.owner.take());
            self.queue_put_off();
        }
        while let Some(alarm) = self.first_alarm() {
            alarm.disarm(self);
            abandon(alarm.owner.take());
        }
    }
}

/// Adds a task to a list, unless it is in one.
///
/// # Safety
/// Both stay in place until the task is withdrawn.
unsafe fn enlist(list: &List<Task>, task: &Task, owner: &(dyn Background + 'static)) {
    if !task.is_queued.replace(true) {
        task.owner.set(Some(NonNull::from(owner)));
        // SAFETY: it is in no list, as was checked above, and stays until it is withdrawn, as the caller says.
        unsafe { list.push_back(task) };
    }
}

/// Spares the stack of the coroutine that happens to poll. Whoever is watched has taken the big one.
fn on_big_stack(work: impl FnOnce()) {
    match BigStack::get() {
        Ok(stack) => stack.run(work),
        Err(_) => work(),
    }
}

/// Tells whoever it is, if anybody.
pub(super) fn abandon(owner: Option<NonNull<dyn Background>>) {
    if let Some(owner) = owner {
        // SAFETY: whoever is registered is alive.
        unsafe { owner.as_ref() }.abandoned();
    }
}
