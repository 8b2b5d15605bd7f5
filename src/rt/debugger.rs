//! What `packaging/gdb.py` has to know to list the coroutines of a process, or of a core file: a table beside the code,
//! which nobody reads otherwise.
//!
//! A thread's context is in `dill_rt_context`. From there the script goes by the offsets below: through the handles
//! to the bundles, which it tells by their close function, and through their lists to the coroutines.

use super::bundle::{self, Bundle};
use super::{context, coroutine, handle, list, object};

core::arch::global_asm!(
    // "R" keeps it, though nothing refers to it.
    ".pushsection .data.rel.ro.dill_layout, \"awR\", @progbits",
    ".balign 8",
    ".globl dill_layout",
    ".hidden dill_layout",
    ".type dill_layout, @object",
    ".size dill_layout, 15 * 8",
    "dill_layout:",
    // The version of this table.
    ".quad 1",
    ".quad {current}, {main}",
    ".quad {slots}, {len}, {slot_size}, {vfs}",
    ".quad {close_bundle}, {members}, {next}",
    ".quad {registers}, {ready}, {cancelled}, {file}, {line}",
    ".popsection",
    current = const context::layout::CURRENT,
    main = const context::layout::MAIN,
    slots = const context::layout::HANDLES + handle::layout::SLOTS,
    len = const context::layout::HANDLES + handle::layout::LEN,
    slot_size = const handle::layout::SLOT_SIZE,
    vfs = const handle::layout::VFS,
    close_bundle = sym object::close_object::<Bundle>,
    members = const object::body_offset::<Bundle>() + bundle::MEMBERS,
    next = const list::NEXT,
    registers = const coroutine::layout::REGISTERS,
    ready = const coroutine::layout::READY,
    cancelled = const coroutine::layout::CANCELLED,
    file = const coroutine::layout::FILE,
    line = const coroutine::layout::LINE,
);
