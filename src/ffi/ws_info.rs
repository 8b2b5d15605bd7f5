//! WebSocket: what has passed on a connection.

use super::options::{self, Versioned};
use super::socket_call;
use super::ws::check;
use super::ws_opts::{DILL_WS_DEFLATE_CONTEXT, DILL_WS_DEFLATE_PEER_CONTEXT};
use crate::ws::sock::{self, Info};
use core::ffi::c_int;

/// The role of whoever has asked for a WebSocket.
pub const DILL_WS_CLIENT: c_int = 0;
/// The role of whoever was asked.
pub const DILL_WS_SERVER: c_int = 1;

/// What has passed on a WebSocket, which its size has to be given to: {.size = sizeof(struct ws_info)}.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WsInfo {
    /// The size of this structure.
    pub size: usize,
    /// WS_CLIENT or WS_SERVER: what we are.
    pub role: c_int,
    /// WS_TEXT or WS_BINARY: the type of the messages of msend and mrecv.
    pub r#type: c_int,
    /// 1 if messages are compressed, else 0.
    pub deflate: c_int,
    /// The window of our compressor: 8 to 15. 0 if messages are not compressed.
    pub window_bits: c_int,
    /// The window of the peer's compressor, likewise.
    pub peer_window_bits: c_int,
    /// WS_DEFLATE_CONTEXT, WS_DEFLATE_PEER_CONTEXT.
    pub deflate_flags: c_int,
    /// Whole messages, control frames not among them.
    pub messages_sent: u64,
    /// Likewise.
    pub messages_received: u64,
    /// Bytes of messages, before and after compression.
    pub payload_sent: u64,
    /// Likewise.
    pub payload_received: u64,
    /// Bytes of frames, of all kinds, as far as the kernel has taken them, or they were received.
    pub wire_sent: u64,
    /// Likewise.
    pub wire_received: u64,
    /// Those of the program, and those of ping_interval.
    pub pings_sent: u64,
    /// Those that were looked at.
    pub pings_received: u64,
    /// Answers, and those of the program.
    pub pongs_sent: u64,
    /// Those that were looked at.
    pub pongs_received: u64,
    /// How long the answer to the last ping that was answered has taken, in microseconds. -1: none was.
    pub round_trip: i64,
    /// Bytes that are still to be taken by the kernel.
    pub queued: u64,
}

// SAFETY: integers.
unsafe impl Versioned for WsInfo {
    const FIRST: usize = size_of::<WsInfo>();
}

/// Stores what is known about a WebSocket. Members that this library does not know become 0.
///
/// Errors: EBADF, EINVAL (NULL, a size that no version has), ENOTSUP.
///
/// # Safety
/// The structure can be written, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dill_ws_info(s: c_int, info: *mut WsInfo) -> c_int {
    socket_call(|| {
        check(s)?;
        // SAFETY: the caller's structure can be written as far as it says, or is NULL.
        unsafe { options::write(info, &convert(&sock::info(s)?)) }
    })
}

fn convert(info: &Info) -> WsInfo {
    let bits = |bits: Option<u8>| c_int::from(bits.unwrap_or(0));
    let flag = |is_set: bool, flag: c_int| if is_set { flag } else { 0 };
    let agreed = info.compression.as_ref();
    WsInfo {
        size: 0,
        role: if info.is_server { DILL_WS_SERVER } else { DILL_WS_CLIENT },
        r#type: if info.text { sock::TEXT } else { sock::BINARY },
        deflate: c_int::from(agreed.is_some()),
        window_bits: bits(agreed.map(|agreed| agreed.window_bits)),
        peer_window_bits: bits(agreed.map(|agreed| agreed.peer_window_bits)),
        deflate_flags: agreed.map_or(0, |agreed| {
            flag(agreed.context, DILL_WS_DEFLATE_CONTEXT)
                | flag(agreed.peer_context, DILL_WS_DEFLATE_PEER_CONTEXT)
        }),
        messages_sent: info.sent.messages,
        messages_received: info.received.messages,
        payload_sent: info.sent.payload,
        payload_received: info.received.payload,
        wire_sent: info.sent.wire,
        wire_received: info.received.wire,
        pings_sent: info.sent.pings,
        pings_received: info.received.pings,
        pongs_sent: info.sent.pongs,
        pongs_received: info.received.pongs,
        round_trip: info.round_trip,
        queued: info.queued as u64,
    }
}
