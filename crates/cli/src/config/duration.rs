//! Times as people write them: `10s`, `2m`, `1h30m`. Whole seconds only.

/// Reads a time. The error reads after "expected …, ".
pub(crate) fn parse(text: &str) -> Result<u32, String> {
    let text = text.trim();
    let mut seconds: u32 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit);
        if number.is_empty() {
            return Err(format!("found {text:?}; write for example \"90s\", \"2m\" or \"1h30m\""));
        }
        let too_long = || format!("found {text:?}, which is too long");
        let number: u32 = number.parse().map_err(|_| too_long())?;
        if after_fraction(tail) {
            return Err(format!("found {text:?}; times are in whole seconds"));
        }
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "" => return Err(format!("found {text:?} without a unit; write \"{text}s\" for seconds")),
            "ms" | "us" | "ns" => {
                return Err(format!("found {text:?}; times are in whole seconds"));
            }
            _ => return Err(format!("found {text:?}; the units are s, m and h")),
        };
        let part = number.checked_mul(factor).and_then(|part| seconds.checked_add(part));
        seconds = part.ok_or_else(too_long)?;
        rest = after;
    }
    if text.is_empty() { Err("found an empty text".to_owned()) } else { Ok(seconds) }
}

fn after_fraction(tail: &str) -> bool {
    tail.starts_with(['.', ','])
}

/// Writes a time as [`parse`] reads it, in the largest unit that leaves no rest.
pub(crate) fn show(seconds: u32) -> String {
    match seconds {
        0 => "0s".to_owned(),
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 && s > 120 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_written() {
        for (text, seconds) in [("10s", 10), ("2m", 120), ("1h30m", 5400), ("0s", 0), (" 5s ", 5)] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
        for bad in ["", "10", "500ms", "1.5s", "-1s", "1d", "s", "1s2", "99999999999s", "1s-"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_are_shown_as_they_are_read() {
        for seconds in [0, 1, 59, 60, 90, 120, 180, 3600, 5400, 86400] {
            assert_eq!(parse(&show(seconds)), Ok(seconds));
        }
    }
}
