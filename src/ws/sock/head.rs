//! Heads of HTTP before there is a WebSocket: receiving them, and what is answered without one.

use crate::error::{Errno, Result};
use crate::net::buffers::RECEIVE_SIZE;
use crate::net::stream::CloseMode;
use crate::rt::budget::{Rounds, SYSTEM_CALL};
use crate::rt::context::Context;
use crate::transport::Transport;
use crate::why::{self, Fact, Text};
use crate::ws::handshake::{
    self, AnswerHead, BuildError, HeadScan, MAX_HEAD, MAX_INTERIM, Refusal, Scan, StoredHead,
};

// A whole head fits into what a stream can have received ahead.
const _: () = assert!(MAX_HEAD <= RECEIVE_SIZE / 2);

const TOO_MANY_INTERIM: Refusal = Refusal { rule: "more than 16 interim answers", status: None };

/// What judging a head has come to.
pub(crate) type Judged<T> = core::result::Result<T, Refusal>;

/// Receives a head and nothing behind it, and has it judged. ECONNRESET, ETIMEDOUT, ECANCELED.
pub(super) fn receive<R>(
    context: &Context,
    transport: &Transport,
    deadline: i64,
    judge: impl FnOnce(&[u8]) -> Judged<R>,
) -> Result<Judged<R>> {
    let (mut scan, mut rounds) = (HeadScan::new(), Rounds::default());
    loop {
        let (seen, have) = transport.peek(context, |bytes| (scan.scan(bytes), bytes.len()));
        match seen {
            Ok(Scan::Complete(len)) => {
                let judged = transport.peek(context, |bytes| judge(&bytes[..len]));
                transport.consume(context, len);
                return Ok(judged);
            }
            Ok(Scan::Incomplete { at_least }) => {
                // Where nothing may be read ahead, a long head takes many system calls.
                rounds.spend(context, SYSTEM_CALL, deadline)?;
                let filled = transport.fill(context, have + at_least, deadline);
                filled.map_err(|error| why::note_end(error, "the head of HTTP was complete"))?;
            }
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
}

/// Receives a request. As `receive`, and ENOMEM.
pub(super) fn receive_request(
    context: &Context,
    transport: &Transport,
    deadline: i64,
) -> Result<Judged<StoredHead>> {
    let judged = receive(context, transport, deadline, |head| Ok(StoredHead::request(head)))?;
    judged.unwrap_or_else(|refusal| Ok(Err(refusal)))
}

/// Receives an answer. Interim ones before it are passed over (RFC 9110, 15.2). As `receive`, and ENOMEM.
pub(crate) fn receive_answer(
    context: &Context,
    transport: &Transport,
    deadline: i64,
) -> Result<Judged<StoredHead>> {
    for _ in 0..MAX_INTERIM {
        let judged = receive(context, transport, deadline, |head| Ok(StoredHead::answer(head)))?;
        let judged = judged.unwrap_or_else(|refusal| Ok(Err(refusal)))?;
        let is_interim = |stored: &StoredHead| stored.as_answer().is_some_and(|head| head.is_interim());
        if !judged.as_ref().is_ok_and(is_interim) {
            return Ok(judged);
        }
    }
    Ok(Err(TOO_MANY_INTERIM))
}

/// Answers a request that cannot be accepted. ETIMEDOUT and ECANCELED; that the client does not get it
/// otherwise is no error.
pub(super) fn reject(
    context: &Context,
    transport: &Transport,
    status: Option<u16>,
    deadline: i64,
) -> Result<()> {
    let answer = handshake::refusal_response(status.unwrap_or(400));
    if let Err(error @ (Errno::ETIMEDOUT | Errno::ECANCELED)) = transport.send_all(context, answer, deadline)
    {
        return Err(error);
    }
    // The reset that otherwise ends a TCP connection could overtake the answer.
    if let Some(stream) = transport.tcp_stream() {
        stream.set_close_mode(CloseMode::Graceful);
    }
    Ok(())
}

/// Judges the answer to a client's request. EPROTO.
pub(crate) fn judge_answer<R>(
    answer: Judged<StoredHead>,
    judge: impl FnOnce(&AnswerHead<'_>) -> Judged<R>,
) -> Result<(R, StoredHead)> {
    let stored = answer.map_err(|refusal| why::note(Errno::EPROTO, Fact::Peer(refusal.rule)))?;
    let answer = stored.as_answer().ok_or(Errno::EPROTO)?;
    match judge(&answer) {
        Ok(judged) => Ok((judged, stored)),
        Err(refusal) => Err(note_answer(Errno::EPROTO, refusal.rule, stored)),
    }
}

/// Notes that an answer is not the one that was asked for.
#[cold]
pub(crate) fn note_answer(error: Errno, rule: &'static str, stored: StoredHead) -> Errno {
    let Some(answer) = stored.as_answer() else { return error };
    let fact = Fact::Answer(answer.status, Text::new(answer.reason), rule);
    why::note_with_head(error, fact, stored.into_bytes())
}

/// Notes what is wrong with the program's argument. EINVAL, ENOMEM.
#[cold]
pub(crate) fn note_argument(error: BuildError) -> Errno {
    match error {
        BuildError::Invalid(rule) => why::note(Errno::EINVAL, Fact::Argument(rule)),
        BuildError::NoMemory => Errno::ENOMEM,
    }
}

/// Notes that the peer's request was refused.
#[cold]
pub(super) fn note_refusal(error: Errno, refusal: &Refusal) -> Errno {
    why::note(error, Fact::Refused(refusal.status.unwrap_or(400), refusal.rule))
}
