//! What can go wrong, in the terms a C programmer looks up: one variant for each `errno` value
//! that the library returns on its own account, and one for what the kernel says beyond them.

/// The result of everything below the C boundary.
pub(crate) type Result<T> = core::result::Result<T, Errno>;

macro_rules! errnos {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// Why a call failed. The names are those of `errno.h`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Errno {
            $($(#[doc = $doc])+ $name,)*
            /// Any other error of a system call, passed on as the kernel gave it.
            System(i32),
        }

        impl Errno {
            /// The value to store in `errno`.
            pub fn code(self) -> i32 {
                match self {
                    $(Errno::$name => libc::$name,)*
                    Errno::System(code) => code,
                }
            }

            /// What it means; None if it is the system's alone.
            pub fn sentence(self) -> Option<&'static str> {
                match self {
                    $(Errno::$name => Some(concat!($($doc),+)),)*
                    Errno::System(_) => None,
                }
            }

            /// The variant for a value of `errno`.
            pub fn from_code(code: i32) -> Errno {
                match code {
                    $(libc::$name => Errno::$name,)*
                    other => Errno::System(other),
                }
            }
        }
    };
}

errnos! {
    /// The handle or the descriptor is not open.
    EBADF,
    /// An argument has no meaning: NULL where data is needed, a malformed I/O list, unknown flags.
    EINVAL,
    /// The handle is of another kind, or the descriptor cannot be waited for.
    ENOTSUP,
    /// The deadline passed.
    ETIMEDOUT,
    /// The coroutine is being shut down, or the call was made while a handle is being closed.
    ECANCELED,
    /// Memory, or the room for another stack, is used up.
    ENOMEM,
    /// Another coroutine is already doing this on the same object.
    EBUSY,
    /// The peer, or this side, ended this direction gracefully.
    EPIPE,
    /// The connection is broken.
    ECONNRESET,
    /// The peer violated the protocol.
    EPROTO,
    /// The message does not fit in the buffer.
    EMSGSIZE,
    /// The operation would have to wait; seen by callers only where documented.
    EAGAIN,
    /// The descriptor is not a socket.
    ENOTSOCK,
    /// A file cannot be used: there is none, or there is something else in it. Or the bytes to be
    /// sent are NULL.
    EFAULT,
    /// The peer could not prove who it is, or the system does not permit this.
    EACCES,
    /// There is no such interface, and the name is no literal address.
    ENODEV,
    /// The name has no address of the wanted family, or the address is not one of this machine.
    EADDRNOTAVAIL,
    /// The path of the socket is too long.
    ENAMETOOLONG,
    /// There is no such file.
    ENOENT,
    /// Too many descriptors are open in this process.
    EMFILE,
    /// Too many files are open in the system.
    ENFILE,
    /// A system call was interrupted; retried inside the library, never reported.
    EINTR,
    /// A non-blocking connect is under way; waited for inside the library.
    EINPROGRESS,
    /// The connection was gone before it could be accepted; retried inside the library.
    ECONNABORTED,
    /// Nothing listens at the address.
    ECONNREFUSED,
    /// The descriptor cannot be polled (regular files).
    EPERM,
    /// The descriptor cannot be polled (a cycle of epoll sets).
    ELOOP,
    /// The descriptor is already registered.
    EEXIST,
    /// The socket is not connected.
    ENOTCONN,
}

/// The error of the system call that has just failed.
pub(crate) fn last() -> Errno {
    match errno::errno().0 {
        // The kernel's name for a lack of memory for what is on its way.
        libc::ENOBUFS => Errno::ENOMEM,
        code => Errno::from_code(code),
    }
}

/// Turns the -1 of a system call into the error it left behind.
pub(crate) fn check(result: libc::c_int) -> Result<libc::c_int> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

/// The same for calls that return a size.
pub(crate) fn check_size(result: libc::ssize_t) -> Result<usize> {
    usize::try_from(result).map_err(|_| last())
}

/// What a function of the program's answers: an address, or NULL with errno set, to `otherwise` if it did not.
pub(crate) fn from_callback<T>(function: impl FnOnce() -> *mut T, otherwise: Errno) -> Result<*mut T> {
    let before = errno::errno();
    errno::set_errno(errno::Errno(0));
    let address = function();
    let error = if errno::errno().0 == 0 { otherwise } else { last() };
    errno::set_errno(before);
    if address.is_null() { Err(error) } else { Ok(address) }
}

/// Runs what must leave errno as it is, though system calls fail in it.
pub(crate) fn keep_errno<T>(run: impl FnOnce() -> T) -> T {
    let before = errno::errno();
    let result = run();
    errno::set_errno(before);
    result
}
