//! Integers and floating-point numbers. No spaces, no `inf` or `nan`.

use super::super::error::Reason;

/// The most digits that surely fit an `i64`.
const SAFE_DIGITS: usize = 18;

/// An optional sign and digits, within the range of the type; behind the decimal mark, if there is one, zeros alone.
pub(super) fn integer<T: TryFrom<i64>>(text: &[u8], decimal: u8) -> Result<T, Reason> {
    let (negative, digits) = sign(whole(text, decimal)?);
    let value = if digits.len() <= SAFE_DIGITS {
        short(digits)?
    } else {
        long(digits, negative)?
    };
    T::try_from(if negative && digits.len() <= SAFE_DIGITS {
        -value
    } else {
        value
    })
    .map_err(|_| Reason::OutOfRange)
}

/// An integer of 64 bits without a sign, whose upper half no `i64` holds.
pub(super) fn unsigned_long(text: &[u8], decimal: u8) -> Result<u64, Reason> {
    let (negative, digits) = sign(whole(text, decimal)?);
    let magnitude = magnitude(digits)?;
    if negative && magnitude != 0 {
        Err(Reason::OutOfRange)
    } else {
        Ok(magnitude)
    }
}

/// The text before the decimal mark, if zeros follow it: `12.0`, as tables of numbers with gaps are often written.
fn whole(text: &[u8], decimal: u8) -> Result<&[u8], Reason> {
    match text.iter().position(|byte| *byte == decimal) {
        None => Ok(text),
        Some(at) if at + 1 < text.len() && text[at + 1..].iter().all(|byte| *byte == b'0') => Ok(&text[..at]),
        Some(_) => Err(Reason::NotAnInteger),
    }
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    }
}

/// At most [`SAFE_DIGITS`] digits.
fn short(digits: &[u8]) -> Result<i64, Reason> {
    let mut value = 0_i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Reason::NotAnInteger);
        }
        value = value * 10 + i64::from(digit);
    }
    if digits.is_empty() {
        Err(Reason::NotAnInteger)
    } else {
        Ok(value)
    }
}

/// More digits: the value with its sign, since the smallest `i64` has no positive counterpart.
fn long(digits: &[u8], negative: bool) -> Result<i64, Reason> {
    let magnitude = i128::from(magnitude(digits)?);
    i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| Reason::OutOfRange)
}

fn magnitude(digits: &[u8]) -> Result<u64, Reason> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reason::NotAnInteger);
    }
    let next = |value: u64, byte: &u8| value.checked_mul(10)?.checked_add(u64::from(byte - b'0'));
    digits.iter().try_fold(0, next).ok_or(Reason::OutOfRange)
}

/// A number of 64 bits, rounded to the nearest as every reader of decimal text does; beyond the range is bad.
pub(super) fn float64(text: &[u8], decimal: u8) -> Result<f64, Reason> {
    let value: f64 = float(text, decimal)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Reason::OutOfRange)
    }
}

/// A number of 32 bits.
pub(super) fn float32(text: &[u8], decimal: u8) -> Result<f32, Reason> {
    let value: f32 = float(text, decimal)?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Reason::OutOfRange)
    }
}

fn float<T: std::str::FromStr>(text: &[u8], decimal: u8) -> Result<T, Reason> {
    let plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'e' | b'E') || *byte == decimal;
    if !text.iter().all(plain) {
        return Err(Reason::NotANumber);
    }
    let parsed = match decimal {
        b'.' => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        mark => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.replace(char::from(mark), ".").parse().ok()),
    };
    parsed.ok_or(Reason::NotANumber)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn integers_agree_with_the_standard_library() {
        let texts = [
            "0",
            "-0",
            "7",
            "-7",
            "+7",
            "127",
            "128",
            "-128",
            "-129",
            "255",
            "256",
            "2147483647",
            "-2147483648",
            "999999999999999999",
            "1000000000000000000",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999",
            "",
            "-",
            "+",
            " 1",
            "1 ",
            "1e3",
            "0x1",
            "12a",
            "--1",
            "٣",
            "000000000000000000000000000001",
        ];
        for text in texts {
            assert_eq!(
                integer::<i8>(text.as_bytes(), b'.').ok(),
                text.parse().ok(),
                "i8 {text}"
            );
            assert_eq!(integer::<u16>(text.as_bytes(), b'.').ok(), unsigned(text), "u16 {text}");
            assert_eq!(
                integer::<i32>(text.as_bytes(), b'.').ok(),
                text.parse().ok(),
                "i32 {text}"
            );
            assert_eq!(
                integer::<i64>(text.as_bytes(), b'.').ok(),
                text.parse().ok(),
                "i64 {text}"
            );
            assert_eq!(unsigned_long(text.as_bytes(), b'.').ok(), unsigned(text), "u64 {text}");
        }
    }

    /// The standard library refuses `-0` for unsigned types; a source that writes it means zero.
    fn unsigned<T: std::str::FromStr>(text: &str) -> Option<T> {
        if text == "-0" { "0" } else { text }.parse().ok()
    }

    #[test]
    fn the_reason_tells_range_from_kind() {
        assert_eq!(integer::<i8>(b"128", b'.'), Err(Reason::OutOfRange));
        assert_eq!(integer::<i8>(b"12.5", b'.'), Err(Reason::NotAnInteger));
        assert_eq!(unsigned_long(b"-1", b'.'), Err(Reason::OutOfRange));
        assert_eq!(float64(b"1e999", b'.'), Err(Reason::OutOfRange));
        assert_eq!(float32(b"1e39", b'.'), Err(Reason::OutOfRange));
        assert_eq!(float64(b"nan", b'.'), Err(Reason::NotANumber));
        assert_eq!(float64(b"-inf", b'.'), Err(Reason::NotANumber));
        assert_eq!(float64(b"", b'.'), Err(Reason::NotANumber));
    }

    #[test]
    fn zeros_behind_the_decimal_mark_are_no_digits() {
        assert_eq!(integer::<i32>(b"12.0", b'.'), Ok(12));
        assert_eq!(integer::<i32>(b"-12,000", b','), Ok(-12));
        assert_eq!(unsigned_long(b"12.0", b'.'), Ok(12));
        for text in ["12.", "12.01", ".0", "1.0.0", "12.0e1"] {
            assert_eq!(
                integer::<i32>(text.as_bytes(), b'.'),
                Err(Reason::NotAnInteger),
                "{text}"
            );
        }
    }

    #[test]
    fn a_decimal_comma_is_read_when_said() {
        assert_eq!(float64(b"-12,5", b','), Ok(-12.5));
        assert_eq!(float64(b"12.5", b','), Err(Reason::NotANumber));
        assert_eq!(float64(b"12,5", b'.'), Err(Reason::NotANumber));
        assert_eq!(float64(b"1,2,3", b','), Err(Reason::NotANumber));
    }
}
