//! What both sides of a TLS connection have agreed on.

use super::options::{self, Versioned};
use super::{room, rooms, socket_call};
use crate::error::{Errno, Result};
use crate::tls::{NegotiatedTls, with_negotiated};
use crate::ws::sock::handle_below;
use core::ffi::{c_char, c_int, c_void};

/// What `tls_info` tells of a connection.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct TlsInfo {
    /// The size of this structure: set before the call.
    pub size: usize,
    /// TLS_1_2 or TLS_1_3.
    pub version: c_int,
    /// 1 if a session was resumed.
    pub resumed: c_int,
    /// 1 if the peer has shown a certificate that is trusted: of a server, one that is made out to the host.
    pub verified: c_int,
    /// The cipher suite, such as "TLS_AES_128_GCM_SHA256".
    pub cipher: [c_char; 64],
    /// The application protocol that was agreed on, or an empty string.
    pub alpn: [c_char; 256],
    /// The host that the client has asked for, or an empty string.
    pub sni: [c_char; 256],
}

// SAFETY: integers, and arrays of them.
unsafe impl Versioned for TlsInfo {
    const FIRST: usize = 600;
}

/// Tells of a TLS connection, or of that below a WebSocket or a request, what both sides have agreed on:
/// struct tls_info info = {.size = sizeof(struct tls_info)}.
///
/// Errors: EBADF, EINVAL (NULL, or wrong size), ENOTSUP (no TLS).
///
/// # Safety
/// The structure can be written as far as it says, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tls_info(h: c_int, info: *mut TlsInfo) -> c_int {
    socket_call(|| {
        of_connection(h, |agreed| {
            // SAFETY: the caller's structure can be written as far as it says, or is NULL.
            unsafe { options::write(info, &told(agreed)) }
        })
    })
}

/// Stores one of the certificates that the peer has shown, in DER, and returns its length: 0 is the peer's own,
/// and the others are those that it sent behind it. `h` is as for `tls_info`. NULL with length 0: only the
/// length is wanted.
///
/// Errors: EBADF, EINVAL (NULL with a length), EMSGSIZE (it does not fit), ENOENT (there are no more), ENOTSUP
/// (no TLS).
///
/// # Safety
/// There is room for `len` bytes, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tls_peercert(
    h: c_int,
    i: usize,
    buf: *mut c_void,
    len: usize,
) -> libc::ssize_t {
    socket_call(|| {
        of_connection(h, |agreed| {
            // SAFETY: the caller has room for so many bytes, or passes NULL.
            let [place] = unsafe { rooms([(buf.cast(), len)]) }?;
            let cert = agreed.chain.get(i).ok_or(Errno::ENOENT)?;
            if let Some(place) = place {
                place.get_mut(..cert.len()).ok_or(Errno::EMSGSIZE)?.copy_from_slice(cert);
            }
            Ok(cert.len())
        })
    })
}

/// Stores the name of the application protocol that was agreed on, as a string in a buffer of `len`
/// bytes; an empty one if there is none. `s` is as for `tls_info`.
///
/// Errors: EBADF, EINVAL (NULL), EMSGSIZE (it does not fit; 256 bytes are always enough), ENOTSUP (no TLS).
///
/// # Safety
/// There is room for `len` bytes, or the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_tls_alpn(s: c_int, buf: *mut c_char, len: usize) -> c_int {
    socket_call(|| {
        of_connection(s, |agreed| {
            // SAFETY: the caller has room for `len` bytes, or passes NULL.
            let place = unsafe { room(buf.cast(), len) };
            let (name, place) = (&agreed.alpn, place.ok_or(Errno::EINVAL)?);
            *place.get_mut(name.len()).ok_or(Errno::EMSGSIZE)? = 0;
            place[..name.len()].copy_from_slice(name);
            Ok(())
        })
    })
}

/// The connection that a handle stands for, or what is on it. EBADF, ENOTSUP.
fn of_connection<R>(h: c_int, look: impl FnOnce(&NegotiatedTls) -> Result<R>) -> Result<R> {
    with_negotiated(handle_below(h).unwrap_or(h), look)
}

fn told(agreed: &NegotiatedTls) -> TlsInfo {
    let mut info = TlsInfo {
        size: size_of::<TlsInfo>(),
        version: c_int::from(agreed.version),
        resumed: c_int::from(agreed.resumed),
        verified: c_int::from(agreed.verified),
        cipher: [0; 64],
        alpn: [0; 256],
        sni: [0; 256],
    };
    put(&mut info.cipher, agreed.suite().iter().flat_map(|part| part.bytes()));
    put(&mut info.alpn, agreed.alpn.iter().copied());
    put(&mut info.sni, agreed.sni.iter().copied());
    info
}

/// The NUL is there.
fn put(place: &mut [c_char], text: impl Iterator<Item = u8>) {
    let room = place.len() - 1;
    place[..room].iter_mut().zip(text).for_each(|(place, byte)| *place = byte as c_char);
}
