//! `--param N=VALUE`: the values of `$1`, `$2`, … as text, which the statement's own types then read.

use std::collections::BTreeMap;

use parcours::Parameter;

use crate::exit::Failure;

/// The parameters in order. Every number from 1 to the highest must be given, once.
pub fn parse(given: &[String]) -> Result<Vec<Parameter>, Failure> {
    let mut numbered = BTreeMap::new();
    for text in given {
        let (number, value) = match text.split_once('=') {
            Some((number, value)) => (number, Parameter::from(value)),
            None => (text.as_str(), Parameter::Null),
        };
        let number = number
            .trim_start_matches('$')
            .parse::<usize>()
            .ok()
            .filter(|&number| number > 0);
        // The text is not repeated: without its number it may be a value.
        let number = number.ok_or_else(|| Failure::usage("--param is N=VALUE with N from 1, as in --param 1=25"))?;
        if numbered.insert(number, value).is_some() {
            return Err(Failure::Usage(format!("--param {number} is given twice")));
        }
    }
    match (1..).zip(numbered.keys()).find(|(wanted, number)| wanted != *number) {
        Some((wanted, _)) => Err(Failure::Usage(format!("--param {wanted} is missing"))),
        None => Ok(numbered.into_values().collect()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(given: &[&str]) -> Result<Vec<Parameter>, Failure> {
        parse(&given.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn numbers_order_values_and_a_bare_number_is_null() {
        let parameters = parsed(&["2=b=c", "$1=", "3"]).unwrap();
        assert_eq!(parameters, ["".into(), "b=c".into(), Parameter::Null]);
    }

    #[test]
    fn gaps_repeats_and_other_things_are_refused() {
        for given in [&["2=b"][..], &["1=a", "1=b"], &["0=a"], &["x=a"], &["secret"]] {
            let Err(Failure::Usage(message)) = parsed(given) else {
                unreachable!("{given:?}")
            };
            assert!(!message.contains("secret"));
        }
    }
}
