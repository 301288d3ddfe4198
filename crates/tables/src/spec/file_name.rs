//! Patterns of file names of which one part is the value of a column, such as `open_damir_{????}.csv`: what stands in braces
//! is the value, and the rest what has to stand around it. A name that can be read in two ways is nobody's to choose
//! between.

use std::collections::BTreeSet;
use std::fmt;

use glob::{MatchOptions, Pattern};

/// As sources are matched: in whichever case.
const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: false,
    require_literal_separator: false,
    require_literal_leading_dot: false,
};

/// A pattern of file names with the place of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    written: String,
    before: Pattern,
    value: Pattern,
    after: Pattern,
}

impl FileName {
    /// Reads a pattern. The error says what is wrong with it.
    pub(super) fn parse(written: &str) -> Result<Self, String> {
        let one = || "it has to have one pair of braces, where the value stands, such as year_{}.csv".to_owned();
        let (before, rest) = written.split_once('{').ok_or_else(one)?;
        let (value, after) = rest.split_once('}').ok_or_else(one)?;
        if [before, value, after].iter().any(|part| part.contains(['{', '}'])) {
            return Err(one());
        }
        if written.contains('/') {
            return Err("it is of a file's name alone: for folders, say folder".to_owned());
        }
        let pattern = |text: &str| Pattern::new(text).map_err(|error| error.msg.to_owned());
        Ok(Self {
            written: written.to_owned(),
            before: pattern(before)?,
            value: pattern(if value.is_empty() { "*" } else { value })?,
            after: pattern(after)?,
        })
    }

    /// The texts that can be the value in a name: none if it is not like the pattern, several if the pattern leaves open
    /// which.
    pub(crate) fn values<'a>(&self, name: &'a str) -> BTreeSet<&'a str> {
        let ends = || name.char_indices().map(|(at, _)| at).chain([name.len()]);
        let is = |pattern: &Pattern, text: &str| pattern.matches_with(text, MATCHING);
        let mut values = BTreeSet::new();
        for start in ends().filter(|start| is(&self.before, &name[..*start])) {
            let ends = ends().filter(|end| *end > start && is(&self.after, &name[*end..]));
            values.extend(ends.map(|end| &name[start..end]).filter(|value| is(&self.value, value)));
        }
        values
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn values(pattern: &str, name: &str) -> Vec<String> {
        let pattern = FileName::parse(pattern).unwrap();
        pattern.values(name).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn what_stands_in_braces_is_read() {
        assert_eq!(values("open_damir_{}.csv", "open_damir_2021.csv"), ["2021"]);
        assert_eq!(values("open_damir_{}.csv", "OPEN_DAMIR_2021.CSV"), ["2021"]);
        assert_eq!(values("A{????}??.csv*", "A202306.csv.gz"), ["2023"]);
        assert_eq!(values("A????{??}.csv*", "A202306.csv"), ["06"]);
        assert_eq!(values("{[0-9][0-9]}*.csv", "21-été.csv"), ["21"]);
        assert_eq!(values("*_{}.csv", "é_ü.csv"), ["ü"]);
        assert_eq!(values("{}", "whole.csv"), ["whole.csv"]);
    }

    #[test]
    fn other_names_have_none_and_some_have_several() {
        for name in ["open_damir_.csv", "open_damir_2021.csv.gz", "damir_2021.csv", ""] {
            assert!(values("open_damir_{}.csv", name).is_empty(), "{name}");
        }
        assert_eq!(values("*_{}.csv", "a_b_c.csv"), ["b_c", "c"]);
        assert_eq!(values("*{??}*", "abc"), ["ab", "bc"]);
        // The same text in two ways is one value.
        assert_eq!(values("*{aa}*", "aaa"), ["aa"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            "year.csv",
            "{}{}.csv",
            "}{.csv",
            "{",
            "{{}}.csv",
            "year={}/t.csv",
            "[{}.csv",
        ] {
            assert!(FileName::parse(pattern).is_err(), "{pattern}");
        }
    }
}
