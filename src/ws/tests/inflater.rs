//! A small inflater (RFC 1951), independent of the codec under test.

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<usize> {
        let mut value = 0;
        for bit in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }
}

/// A Huffman code: the symbols in the order of their codes, and how many there are of each length.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Code {
        let mut counts = [0; 16];
        for &length in lengths {
            counts[length] += 1;
        }
        counts[0] = 0;
        let of_length = |length| (0..lengths.len()).filter(move |&symbol| lengths[symbol] == length);
        Code { counts, symbols: (1..16).flat_map(of_length).collect() }
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for length in 1..16 {
            code |= bits.take(1)?;
            let count = self.counts[length];
            if code < first + count {
                return self.symbols.get(index + code - first).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

const LENGTHS: [usize; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
    227, 258,
];
const DISTANCES: [usize; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
    4097, 6145, 8193, 12289, 16385, 24577,
];
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

fn dynamic(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    let (literals, distances) = (bits.take(5)? + 257, bits.take(5)? + 1);
    let mut lengths = [0; 19];
    let count = bits.take(4)? + 4;
    for &place in &ORDER[..count] {
        lengths[place] = bits.take(3)?;
    }
    let code = Code::new(&lengths);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match code.read(bits)? {
            16 => (*lengths.last()?, bits.take(2)? + 3),
            17 => (0, bits.take(3)? + 3),
            18 => (0, bits.take(7)? + 11),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(length, times));
    }
    let (literals, distances) = lengths.split_at_checked(literals)?;
    Some((Code::new(literals), Code::new(distances)))
}

/// What whole blocks say, and the largest distance in them. None: they are not whole blocks.
pub(super) fn inflate(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut bits = Bits { bytes, at: 0 };
    let (mut out, mut largest) = (Vec::new(), 0);
    while bits.at.div_ceil(8) < bytes.len() {
        let last = bits.take(1)? == 1;
        let (literals, distances) = match bits.take(2)? {
            0 => {
                let at = bits.at.div_ceil(8);
                let len = usize::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
                let check = usize::from(u16::from_le_bytes(*bytes.get(at + 2..)?.first_chunk()?));
                if len != check ^ 0xffff {
                    return None;
                }
                out.extend(bytes.get(at + 4..at + 4 + len)?);
                bits.at = (at + 4 + len) * 8;
                continue;
            }
            1 => {
                let lengths: Vec<usize> = (0..288)
                    .map(|symbol| match symbol {
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                (Code::new(&lengths), Code::new(&[5; 30]))
            }
            2 => dynamic(&mut bits)?,
            _ => return None,
        };
        loop {
            match literals.read(&mut bits)? {
                literal @ 0..256 => out.push(literal as u8),
                256 => break,
                length => {
                    let code = length - 257;
                    let extra = if (8..28).contains(&code) { (code as u32 - 4) / 4 } else { 0 };
                    let length = LENGTHS.get(code)? + bits.take(extra)?;
                    let code = distances.read(&mut bits)?;
                    let extra = (code as u32).saturating_sub(2) / 2;
                    let distance = DISTANCES.get(code)? + bits.take(extra)?;
                    largest = largest.max(distance);
                    for _ in 0..length {
                        out.push(*out.get(out.len().checked_sub(distance)?)?);
                    }
                }
            }
        }
        if last {
            bits.at = bits.at.next_multiple_of(8);
        }
    }
    Some((out, largest))
}
