//! Numbers whose digits stand in groups of three, such as `1 234 567,50`.

use std::borrow::Cow;

use super::super::error::Reason;

/// The number without its separators, which stand between groups of three digits before the decimal mark and nowhere else. A
/// number without any is taken as it is.
pub(super) fn plain(text: &[u8], separator: char, decimal: u8) -> Result<Cow<'_, [u8]>, Reason> {
    let mut buffer = [0; 4];
    let separator = separator.encode_utf8(&mut buffer).as_bytes();
    if memchr::memmem::find(text, separator).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    let whole = text.iter().position(|byte| *byte == decimal).unwrap_or(text.len());
    let (whole, fraction) = text.split_at(whole);
    let sign = whole.iter().take_while(|byte| matches!(byte, b'-' | b'+')).count();
    let (sign, whole) = whole.split_at(sign);
    let mut digits = sign.to_vec();
    let mut rest = whole;
    while let Some(at) = memchr::memmem::find(rest, separator) {
        let least = if digits.len() == sign.len() { 1 } else { 3 };
        if !is_group(&rest[..at], least) {
            return Err(Reason::NotANumber);
        }
        digits.extend_from_slice(&rest[..at]);
        rest = &rest[at + separator.len()..];
    }
    if !is_group(rest, 3) || memchr::memmem::find(fraction, separator).is_some() {
        return Err(Reason::NotANumber);
    }
    digits.extend_from_slice(rest);
    digits.extend_from_slice(fraction);
    Ok(Cow::Owned(digits))
}

/// Whether these are three digits, or at least as many as that.
fn is_group(text: &[u8], least: usize) -> bool {
    (least..=3).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn separators_stand_between_groups_of_three() {
        let read =
            |text: &str| plain(text.as_bytes(), '\u{202f}', b',').map(|text| String::from_utf8(text.into()).unwrap());
        let blank = |text: &str| read(&text.replace(' ', "\u{202f}"));
        for (text, wanted) in [
            ("1 234 567,50", "1234567,50"),
            ("-12 345", "-12345"),
            ("1234", "1234"),
            ("1,5", "1,5"),
            ("123 456", "123456"),
        ] {
            assert_eq!(blank(text).as_deref(), Ok(wanted));
        }
        for text in [
            "12 34",
            "1234 567",
            " 123",
            "1 23,4",
            "1,234 567",
            "1  234",
            "123 ",
            "1E +02",
            "x 123",
            "1 -23",
        ] {
            assert_eq!(blank(text), Err(Reason::NotANumber), "{text}");
        }
    }
}
