//! As much of X.509 (RFC 5280, 4.1) as is needed for certificates of every age and make: the
//! library that verifies them refuses version 1, which many test certificates have.

#![forbid(unsafe_code)]

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// One element of the encoding.
struct Element<'a> {
    tag: u8,
    /// With its tag and length.
    whole: &'a [u8],
    contents: &'a [u8],
}

/// Takes an element off the front.
fn next<'a>(input: &mut &'a [u8]) -> Option<Element<'a>> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        // No certificate is longer than three bytes can say.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (bytes.iter().fold(0, |len, &byte| len << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(len)?;
    let whole = &input[..input.len() - rest.len()];
    *input = rest;
    Some(Element { tag, whole, contents })
}

fn sequence<'a>(input: &mut &'a [u8]) -> Option<Element<'a>> {
    next(input).filter(|element| element.tag == SEQUENCE)
}

/// The fields of a certificate from its issuer on.
fn fields(cert: &[u8]) -> Option<&[u8]> {
    let mut outer = sequence(&mut &cert[..])?.contents;
    let mut fields = sequence(&mut outer)?.contents;
    if next(&mut fields)?.tag == VERSION {
        // Absent in version 1: then that was the serial number.
        next(&mut fields)?;
    }
    // The signature algorithm.
    next(&mut fields)?;
    Some(fields)
}

/// The public key of a certificate, as its subjectPublicKeyInfo.
pub fn public_key(cert: &[u8]) -> Option<&[u8]> {
    let mut fields = fields(cert)?;
    for _issuer_validity_subject in 0..3 {
        next(&mut fields)?;
    }
    sequence(&mut fields).map(|key| key.whole)
}

/// The first and the last second at which a certificate is valid, since 1970.
pub fn validity(cert: &[u8]) -> Option<(i64, i64)> {
    let mut fields = fields(cert)?;
    next(&mut fields)?;
    let mut validity = sequence(&mut fields)?.contents;
    Some((time(&next(&mut validity)?)?, time(&next(&mut validity)?)?))
}

/// RFC 5280, 4.1.2.5: both forms end in seconds and a Z.
fn time(element: &Element<'_>) -> Option<i64> {
    let (digits, zone) = element.contents.split_at_checked(element.contents.len().checked_sub(1)?)?;
    if zone != b"Z" || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |n, &digit| n * 10 + i64::from(digit - b'0'));
    let (year, rest) = match (element.tag, digits.len()) {
        (UTC_TIME, 12) => match number(&digits[..2]) {
            year @ 50.. => (1900 + year, &digits[2..]),
            year => (2000 + year, &digits[2..]),
        },
        (GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let [month, day, hour, minute, second] = core::array::from_fn(|i| number(&rest[i * 2..i * 2 + 2]));
    if !(1..=12).contains(&month) {
        return None;
    }
    // Years that begin with March have their leap day at the end.
    let years = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
    // So many days lie between 1 March of the year 0 and 1 January 1970.
    Some((((days - 719_468) * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time_of(tag: u8, text: &str) -> Option<i64> {
        time(&Element { tag, whole: &[], contents: text.as_bytes() })
    }

    #[test]
    fn both_forms_of_time_count_from_1970() {
        assert_eq!(time_of(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time_of(UTC_TIME, "000229235959Z"), Some(951_868_799));
        assert_eq!(time_of(UTC_TIME, "000301000000Z"), Some(951_868_800));
        assert_eq!(time_of(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(time_of(UTC_TIME, "500101000000Z"), Some(-631_152_000));
        assert_eq!(time_of(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(time_of(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
    }

    #[test]
    fn no_other_form_is_a_time() {
        for text in ["", "Z", "7001010000Z", "700101000000", "70010100000xZ", "701301000000Z"] {
            assert_eq!(time_of(UTC_TIME, text), None);
        }
        assert_eq!(time_of(GENERALIZED_TIME, "700101000000Z"), None);
        assert_eq!(time_of(SEQUENCE, "700101000000Z"), None);
    }

    #[test]
    fn what_is_cut_off_is_no_element() {
        let whole = [SEQUENCE, 0x82, 0x00, 0x03, 1, 2, 3, 9];
        for len in 0..7 {
            assert!(next(&mut &whole[..len]).is_none());
        }
        let mut input = &whole[..];
        let element = next(&mut input).unwrap();
        assert_eq!((element.whole, element.contents, input), (&whole[..7], &whole[4..7], &whole[7..]));
        assert!(next(&mut &[SEQUENCE, 0x80, 1][..]).is_none());
        assert!(next(&mut &[SEQUENCE, 0x84, 0, 0, 0, 1, 1][..]).is_none());
    }
}
