//! Decimal numbers of a fixed scale. A digit that does not fit is bad, unless it is a zero at the end.

use super::super::error::Reason;

/// The unscaled value of a decimal text, at most `precision` digits with `scale` of them after the mark.
pub(super) fn decimal(text: &[u8], mark: u8, precision: u8, scale: u8) -> Result<i128, Reason> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let at = digits.iter().position(|byte| *byte == mark).unwrap_or(digits.len());
    let (whole, fraction) = (&digits[..at], digits.get(at + 1..).unwrap_or(&[]));
    let all_digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
    if !all_digits || whole.len() + fraction.len() == 0 {
        return Err(Reason::NotANumber);
    }
    let (kept, cut) = fraction.split_at(fraction.len().min(usize::from(scale)));
    if cut.iter().any(|byte| *byte != b'0') {
        return Err(Reason::LosesDigits);
    }
    let zeros = usize::from(scale) - kept.len();
    let all = whole
        .iter()
        .chain(kept)
        .copied()
        .chain(std::iter::repeat_n(b'0', zeros));
    let value = unscaled(all, precision)?;
    Ok(if negative { -value } else { value })
}

fn unscaled(digits: impl Iterator<Item = u8>, precision: u8) -> Result<i128, Reason> {
    let limit = 10_i128.pow(u32::from(precision));
    let mut value = 0_i128;
    for digit in digits {
        value = value.checked_mul(10).ok_or(Reason::OutOfRange)? + i128::from(digit - b'0');
        if value >= limit {
            return Err(Reason::OutOfRange);
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_fit_or_the_value_is_bad() {
        let read = |text: &str| decimal(text.as_bytes(), b'.', 5, 2);
        assert_eq!(read("123.45"), Ok(12345));
        assert_eq!(read("-0.5"), Ok(-50));
        assert_eq!(read("+7"), Ok(700));
        assert_eq!(read(".25"), Ok(25));
        assert_eq!(read("3."), Ok(300));
        assert_eq!(read("1.250"), Ok(125));
        assert_eq!(read("000001"), Ok(100));
        assert_eq!(read("1.255"), Err(Reason::LosesDigits));
        assert_eq!(read("1000"), Err(Reason::OutOfRange));
        assert_eq!(read("999.99"), Ok(99999));
        for text in ["", ".", "-", "1e3", "1,5", "1.2.3", " 1", "abc"] {
            assert_eq!(read(text), Err(Reason::NotANumber), "{text}");
        }
    }

    #[test]
    fn thirty_eight_digits_fit() {
        let nines = "9".repeat(38);
        assert_eq!(decimal(nines.as_bytes(), b'.', 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(
            decimal(format!("{nines}0").as_bytes(), b'.', 38, 0),
            Err(Reason::OutOfRange)
        );
    }
}
