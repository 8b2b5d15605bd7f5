//! Questions to the system's resolver, and the threads that ask them: a bounded number for the whole
//! process, since a server that does not answer holds each of them for many seconds.

use super::addr::IpAddr;
use super::socket::Fd;
use crate::error::{self, Errno, Result};
use crate::memory::{try_box, try_push, try_vec};
use crate::rt::big_stack::BigStack;
use crate::rt::context::Context;
use crate::rt::poller::{Direction, Watcher};
use crate::rt::process::PerProcess;
use core::ffi::{CStr, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use std::collections::VecDeque;
use std::net::{IpAddr as StdAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many questions are asked at a time.
const MAX_THREADS: usize = 32;

/// What `getaddrinfo` and the modules it loads need of a stack, in bytes, beside the thread-local data of the
/// program.
const STACK_SIZE: usize = 512 * 1024;

struct QuestionBody {
    references: AtomicUsize,
    /// Ends with a NUL.
    name: Vec<u8>,
    family: c_int,
    wakeup: Fd,
    /// Asked by the parent of this process, which alone hears the answer.
    is_lost: AtomicBool,
    answer: Mutex<Result<Vec<IpAddr>>>,
}

impl Watcher for QuestionBody {
    fn writable(&self, _: &Context) {}

    fn abandoned(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
        if let Some(context) = Context::existing()
            && let Some(clause) = context.poller.waiting(self.wakeup.get(), Direction::In)
        {
            // SAFETY: a registered clause is alive; firing it unregisters it.
            context.fire(unsafe { clause.as_ref() }, None);
        }
    }
}

/// What a coroutine wants to know, and the answer; shared with the thread that asks.
pub(super) struct Question(NonNull<QuestionBody>);

// SAFETY: what is shared is counted atomically, behind a lock, or never changes.
unsafe impl Send for Question {}

impl Question {
    /// The addresses of a name. EMFILE, ENFILE, ENOMEM.
    pub(super) fn new(name: &CStr, family: c_int) -> Result<Question> {
        Question::from_name(name.to_bytes_with_nul(), family)
    }

    fn from_name(name: &[u8], family: c_int) -> Result<Question> {
        // SAFETY: the call takes no pointer.
        let wakeup = error::check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) });
        let wakeup = wakeup.map_err(|error| match error {
            Errno::EMFILE | Errno::ENFILE => error,
            _ => Errno::ENOMEM,
        })?;
        let body = try_box(QuestionBody {
            references: AtomicUsize::new(1),
            wakeup: Fd::new(wakeup),
            name: try_vec(name)?,
            family,
            is_lost: AtomicBool::new(false),
            answer: Mutex::new(Ok(Vec::new())),
        })?;
        Ok(Question(NonNull::from(Box::leak(body))))
    }

    fn body(&self) -> &QuestionBody {
        // SAFETY: counted, so it is alive.
        unsafe { self.0.as_ref() }
    }

    /// The descriptor that is readable once the answer is there.
    pub(super) fn wakeup(&self) -> c_int {
        self.body().wakeup.get()
    }

    /// The one who waits for the answer, for the poller.
    pub(super) fn watcher(&self) -> &(dyn Watcher + 'static) {
        self.body()
    }

    /// Whether it has to be asked again, as another question: this process is the child of the one that asked.
    pub(super) fn is_lost(&self) -> bool {
        self.body().is_lost.load(Ordering::Relaxed)
    }

    /// The same question, not asked yet. EMFILE, ENFILE, ENOMEM.
    pub(super) fn again(&self) -> Result<Question> {
        Question::from_name(&self.body().name, self.body().family)
    }

    /// The answer, once. ENOMEM.
    pub(super) fn take_answer(&self) -> Result<Vec<IpAddr>> {
        let mut answer = self.body().answer.lock().map_err(|_| Errno::ENOMEM)?;
        core::mem::replace(&mut *answer, Ok(Vec::new()))
    }

    /// Asks, which may take long, and wakes whoever waits for the answer.
    fn resolve(&self) {
        let body = self.body();
        let answer = query(&body.name, body.family);
        if let Ok(mut place) = body.answer.lock() {
            *place = answer;
        }
        let one: u64 = 1;
        // SAFETY: eight readable bytes, as an eventfd wants; it cannot be full.
        unsafe { libc::write(body.wakeup.get(), (&raw const one).cast(), size_of::<u64>()) };
    }
}

impl Clone for Question {
    fn clone(&self) -> Question {
        self.body().references.fetch_add(1, Ordering::Relaxed);
        Question(self.0)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if self.body().references.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: made by `try_box`, and this was the last reference.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// The addresses that the system knows; a name that is not known, and a server that does not
/// answer, have none. ENOMEM.
fn query(name: &[u8], family: c_int) -> Result<Vec<IpAddr>> {
    if is_below(name, b"invalid") {
        return Ok(Vec::new());
    }
    let is_localhost = is_below(name, b"localhost");
    // SAFETY: all zeros is a valid hint.
    let mut hints: libc::addrinfo = unsafe { core::mem::zeroed() };
    // The hosts file may know this machine by IPv4 only: then a name server would be asked for the other address.
    // Where it is by IPv6 only, glibc knows the IPv4 address by itself.
    hints.ai_family = if is_localhost && family == libc::AF_INET6 { libc::AF_UNSPEC } else { family };
    hints.ai_socktype = libc::SOCK_STREAM;
    let mut list = ptr::null_mut();
    // SAFETY: the name is a string, the hints are valid, the list is writable.
    match unsafe { libc::getaddrinfo(name.as_ptr().cast(), ptr::null(), &raw const hints, &raw mut list) } {
        0 => {}
        libc::EAI_MEMORY => return Err(Errno::ENOMEM),
        _ if is_localhost => return loopback(family),
        _ => return Ok(Vec::new()),
    }
    // SAFETY: the list came from getaddrinfo.
    let found = unsafe { addresses(list, family) };
    // SAFETY: as above, and it is freed once.
    unsafe { libc::freeaddrinfo(list) };
    found
}

/// Whether a name, which ends with a NUL, is in a domain of one label, such as those that mean the same in any network
/// (RFC 6761, sections 6.3 and 6.4).
fn is_below(name: &[u8], domain: &[u8]) -> bool {
    let name = name.strip_suffix(b"\0").unwrap_or(name);
    let name = name.strip_suffix(b".").unwrap_or(name);
    name.rsplit(|&byte| byte == b'.').next().is_some_and(|label| label.eq_ignore_ascii_case(domain))
}

fn loopback(family: c_int) -> Result<Vec<IpAddr>> {
    let address = match family {
        libc::AF_INET6 => StdAddr::V6(Ipv6Addr::LOCALHOST),
        _ => StdAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let mut found = Vec::new();
    try_push(&mut found, IpAddr::new(address, 0, 0))?;
    Ok(found)
}

/// # Safety
/// The list is alive and ends with NULL.
unsafe fn addresses(list: *const libc::addrinfo, family: c_int) -> Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    let mut next = list;
    // SAFETY: the list is alive and ends with NULL, as the caller says.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ai_next;
        if entry.ai_family == family && !entry.ai_addr.is_null() {
            // SAFETY: an address is as long as the entry says.
            let address = unsafe { IpAddr::from_native(entry.ai_addr.cast(), entry.ai_addrlen as usize) };
            try_push(&mut found, address)?;
        }
    }
    Ok(found)
}

/// The threads of a process, and what they are to answer.
struct PoolQueue {
    threads: usize,
    /// Those that no thread has begun with.
    waiting: VecDeque<Question>,
}

type ThreadPool = Mutex<PoolQueue>;

/// The pool of this process, which has none of its parent's threads. ENOMEM.
fn pool() -> Result<&'static ThreadPool> {
    static POOL: PerProcess<ThreadPool> = PerProcess::new();
    POOL.get(|| Mutex::new(PoolQueue { threads: 0, waiting: VecDeque::new() }))
}

/// Has a thread find the answer, as soon as there is one. ENOMEM; EAGAIN if there can be no thread.
pub(super) fn ask(question: &Question) -> Result<()> {
    let pool = pool()?;
    let mut state = pool.lock().map_err(|_| Errno::ENOMEM)?;
    state.waiting.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    if state.threads < MAX_THREADS {
        // What looks a symbol up takes a kilobyte of the stack.
        match BigStack::get().and_then(|stack| stack.run(|| start_thread(pool))) {
            Ok(()) => state.threads += 1,
            // One of the others answers it.
            Err(_) if state.threads > 0 => {}
            Err(error) => return Err(error),
        }
    }
    state.waiting.push_back(question.clone());
    Ok(())
}

/// Nobody wants to know the answer any more. A thread that has begun goes on.
pub(super) fn withdraw(question: &Question) {
    if let Ok(pool) = pool()
        && let Ok(mut state) = pool.lock()
    {
        state.waiting.retain(|waiting| waiting.0 != question.0);
    }
}

/// Answers questions until there are none.
extern "C" fn answer_questions(pool: *mut c_void) -> *mut c_void {
    // SAFETY: a pool is never freed.
    let pool = unsafe { &*pool.cast::<ThreadPool>() };
    loop {
        let Ok(mut state) = pool.lock() else { break };
        let Some(question) = state.waiting.pop_front() else {
            state.threads -= 1;
            break;
        };
        drop(state);
        question.resolve();
    }
    ptr::null_mut()
}

/// Starts a detached thread in which all signals are blocked: they are the program's.
fn start_thread(pool: &'static ThreadPool) -> Result<()> {
    // SAFETY: all zeros is a valid signal set to be filled.
    let mut all: libc::sigset_t = unsafe { core::mem::zeroed() };
    let mut before = all;
    // SAFETY: the set is writable.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both sets are valid; the thread inherits the mask.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
    let started = create_thread(pool);
    // SAFETY: the set was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut()) };
    started
}

fn create_thread(pool: &'static ThreadPool) -> Result<()> {
    // SAFETY: all zeros is memory to be initialised.
    let mut attributes: libc::pthread_attr_t = unsafe { core::mem::zeroed() };
    // SAFETY: the attributes are writable.
    check(unsafe { libc::pthread_attr_init(&raw mut attributes) })?;
    let created = create_with(pool, &mut attributes);
    // SAFETY: initialised above.
    unsafe { libc::pthread_attr_destroy(&raw mut attributes) };
    created
}

fn create_with(pool: &'static ThreadPool, attributes: &mut libc::pthread_attr_t) -> Result<()> {
    // SAFETY: the attributes are initialised.
    check(unsafe { libc::pthread_attr_setdetachstate(attributes, libc::PTHREAD_CREATE_DETACHED) })?;
    let size = STACK_SIZE + room_of_thread_local_data(attributes).next_multiple_of(4096);
    // SAFETY: as above.
    check(unsafe { libc::pthread_attr_setstacksize(attributes, size) })?;
    let mut thread = MaybeUninit::uninit();
    let argument = ptr::from_ref(pool).cast_mut().cast();
    // SAFETY: the function takes a pool, which lives for ever.
    check(unsafe { libc::pthread_create(thread.as_mut_ptr(), attributes, answer_questions, argument) })
}

/// How much the C library takes from a stack before the thread begins: glibc puts the thread-local data of
/// the whole program there.
fn room_of_thread_local_data(attributes: &libc::pthread_attr_t) -> usize {
    type GetMinStack = unsafe extern "C" fn(*const libc::pthread_attr_t) -> usize;
    // SAFETY: the name is a string.
    let function = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr()) };
    if function.is_null() {
        return 0;
    }
    // SAFETY: glibc's function has this type.
    let function = unsafe { core::mem::transmute::<*mut c_void, GetMinStack>(function) };
    // SAFETY: the attributes are initialised.
    unsafe { function(attributes) }
}

/// The functions for threads return what went wrong.
fn check(result: c_int) -> Result<()> {
    match result {
        0 => Ok(()),
        libc::EAGAIN => Err(Errno::EAGAIN),
        _ => Err(Errno::ENOMEM),
    }
}
