//! RFC 6455 read again, from the whole of what was received: slow, short, and independent of the
//! library.

/// What a receiver gets to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Message {
        text: bool,
        payload: Vec<u8>,
    },
    Close {
        code: u16,
        reason: Vec<u8>,
    },
    /// The connection failed, with this code.
    Violation(u16),
}

/// All that can be said about a stream so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// A close frame or a violation is the last one.
    pub events: Vec<Event>,
    pub pings: Vec<Vec<u8>>,
    /// The payload of the message that is not complete.
    pub open: Vec<u8>,
    /// How many bytes were judged.
    pub used: usize,
}

/// Reads a stream as the server does, or the client.
pub fn read(stream: &[u8], server: bool) -> Seen {
    let mut seen = Seen::default();
    let mut message: Option<bool> = None;
    loop {
        match frame(&stream[seen.used..], server, &mut message, &mut seen) {
            Ok(Some(len)) => seen.used += len,
            Ok(None) => return seen,
            Err(end) => {
                seen.events.push(end);
                return seen;
            }
        }
    }
}

/// Reads one frame; returns its length, or None if it is not complete.
fn frame(
    bytes: &[u8],
    server: bool,
    message: &mut Option<bool>,
    seen: &mut Seen,
) -> Result<Option<usize>, Event> {
    let wrong = Err(Event::Violation(1002));
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
    let control = opcode >= 8;
    if first & 0x70 != 0 || !matches!(opcode, 0..=2 | 8..=10) || control && !fin {
        return wrong;
    }
    if opcode == 0 && message.is_none() || matches!(opcode, 1 | 2) && message.is_some() {
        return wrong;
    }
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if (second & 0x80 != 0) != server || control && second & 0x7f > 125 {
        return wrong;
    }
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if extended == 8 && bytes.get(2).is_some_and(|byte| byte & 0x80 != 0) {
        return wrong;
    }
    let header = 2 + extended + if server { 4 } else { 0 };
    if bytes.len() < header {
        return Ok(None);
    }
    let len = match extended {
        0 => u64::from(second & 0x7f),
        _ => bytes[2..2 + extended].iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
    };
    let here = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len() - header);
    let whole = here as u64 == len;
    let key = if server { &bytes[header - 4..header] } else { &[0; 4][..] };
    let payload = &bytes[header..header + here];
    let payload: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    if control {
        if !whole {
            return Ok(None);
        }
        match opcode {
            8 => return Err(close(&payload)),
            9 => seen.pings.push(payload),
            _ => {}
        }
        return Ok(Some(header + here));
    }
    let text = message.unwrap_or(opcode == 1);
    seen.open.extend(payload);
    let judged = std::str::from_utf8(&seen.open);
    let last = whole && fin;
    if let (true, Err(error)) = (text, judged) {
        if last || error.error_len().is_some() {
            return Err(Event::Violation(1007));
        }
    }
    if !whole {
        return Ok(None);
    }
    *message = if fin { None } else { Some(text) };
    if fin {
        let payload = std::mem::take(&mut seen.open);
        seen.events.push(Event::Message { text, payload });
    }
    Ok(Some(header + here))
}

fn close(payload: &[u8]) -> Event {
    match payload {
        [] => Event::Close { code: 0, reason: Vec::new() },
        [_] => Event::Violation(1002),
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => match std::str::from_utf8(reason) {
                Ok(_) => Event::Close { code, reason: reason.to_vec() },
                Err(_) => Event::Violation(1007),
            },
            _ => Event::Violation(1002),
        },
    }
}
