//! What a thread's coroutines wait for, and what its handles are, in lines for a person. It may be called from a
//! debugger, wherever the thread stands: it allocates nothing, borrows nothing for good, and takes little stack.

use super::clock;
use super::context::Context;
use super::coroutine::Coroutine;
use super::object::About;
use super::poller::Direction;
use super::wait::{Awaited, Clause, Source};
use core::ffi::{CStr, c_int};
use core::ptr;

/// Longer lines are cut.
const LINE: usize = 400;

/// A line on its way to a descriptor.
struct DumpLine {
    fd: c_int,
    bytes: [u8; LINE],
    len: usize,
}

impl DumpLine {
    fn to(fd: c_int) -> DumpLine {
        DumpLine { fd, bytes: [0; LINE], len: 0 }
    }

    fn put(&mut self, text: &[u8]) -> &mut DumpLine {
        // The last byte is for the end of the line.
        let len = text.len().min(LINE - 1 - self.len);
        self.bytes[self.len..self.len + len].copy_from_slice(&text[..len]);
        self.len += len;
        self
    }

    fn text(&mut self, text: &str) -> &mut DumpLine {
        self.put(text.as_bytes())
    }

    /// Digits by hand: what formats in general takes more stack.
    fn number(&mut self, number: i64) -> &mut DumpLine {
        let (mut digits, mut at, mut left) = ([0; 20], 20, number.unsigned_abs());
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        if number < 0 {
            self.text("-");
        }
        self.put(&digits[at..])
    }

    fn end(&mut self) {
        self.bytes[self.len] = b'\n';
        let mut rest = &self.bytes[..=self.len];
        while !rest.is_empty() {
            // SAFETY: the bytes are readable.
            let written = unsafe { libc::write(self.fd, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(written) {
                Ok(len @ 1..) => rest = &rest[len..],
                // There is nobody to be told.
                _ => break,
            }
        }
        self.len = 0;
    }
}

/// Writes a line for each coroutine of this thread, and for each handle.
pub(crate) fn dump(fd: c_int) {
    let mut line = DumpLine::to(fd);
    let Some(context) = Context::existing() else {
        return line.text("this thread has not used libdill").end();
    };
    describe(line.text("main"), context, context.main());
    let mut number = 0;
    context.handles.each(|handle, about, _| {
        // SAFETY: the bundle of an open handle is alive.
        let Some(bundle) = (unsafe { about.bundle.as_ref() }) else { return };
        let mut next = bundle.members.front();
        // SAFETY: the members of a bundle are alive.
        while let Some(member) = unsafe { next.as_ref() } {
            next = bundle.members.behind(member);
            number += 1;
            line.text("coroutine ").number(number).text(", bundle ").number(handle.into());
            // SAFETY: the name of a file stays in place, or is null.
            if let Some(file) = unsafe { member.launched_at.file.as_ref() } {
                // SAFETY: as above; it is a string.
                let file = unsafe { CStr::from_ptr(ptr::from_ref(file)) };
                line.text(", launched at ")
                    .put(file.to_bytes())
                    .text(":")
                    .number(member.launched_at.line.into());
            }
            describe(&mut line, context, member);
        }
    });
    context.handles.each(|handle, about, is_closing| {
        line.text("handle ").number(handle.into()).text(": ").text(about.name);
        if about.fd >= 0 {
            line.text(", descriptor ").number(about.fd.into());
        }
        if about.below >= 0 {
            line.text(", on handle ").number(about.below.into());
        }
        if !about.state.is_empty() {
            line.text(", ").text(about.state);
        }
        if is_closing {
            line.text(", being closed");
        }
        line.end();
    });
}

/// What a coroutine does, to the end of the line.
fn describe(line: &mut DumpLine, context: &Context, coroutine: &Coroutine) {
    line.text(": ");
    if ptr::eq(context.current(), coroutine) {
        line.text("runs");
    } else if coroutine.ready.get() {
        line.text("is ready to run");
    } else if coroutine.closes_another() {
        line.text("closes a bundle, and waits for a coroutine in it to end");
    } else {
        let mut next = coroutine.clauses.get();
        line.text(if next.is_null() { "waits" } else { "waits for " });
        let mut separator = "";
        // SAFETY: the clauses of a suspended coroutine are alive on its stack.
        while let Some(clause) = unsafe { next.as_ref() } {
            next = clause.next();
            await_clause(line.text(separator), clause);
            separator = ", or for ";
        }
    }
    if coroutine.may_not_block() {
        line.text("; it is being shut down, or closes a handle");
    }
    line.end();
}

fn await_clause(line: &mut DumpLine, clause: &Clause) {
    match clause.source() {
        Source::List(Awaited::Bundle(handle)) => {
            line.text("the coroutines of bundle ").number((*handle).into()).text(" to end")
        }
        Source::List(Awaited::Receiver(handle)) => {
            line.text("somebody to receive from channel ").number((*handle).into())
        }
        Source::List(Awaited::Sender(handle)) => {
            line.text("somebody to send to channel ").number((*handle).into())
        }
        Source::List(Awaited::Turn) => line.text("its turn on a WebSocket"),
        Source::Timer(node) => {
            // SAFETY: the node lives beside its clause.
            let left = unsafe { &**node }.deadline() - clock::now();
            line.text("its deadline, in ").number(left).text(" ms")
        }
        Source::Descriptor(fd, direction) => {
            let what = if *direction == Direction::In { "readable" } else { "writable" };
            line.text("descriptor ").number((*fd).into()).text(" to be ").text(what)
        }
    };
}

impl About {
    /// Of a handle whose type is the program's own.
    pub(super) const CUSTOM: About = About::of("a type of the program's own");
}
