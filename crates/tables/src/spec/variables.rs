//! Replaces `${NAME}` in a source by a variable of the environment, so that one specification serves several machines.
//! An unset variable is an error: an empty text in its place could make a pattern match files nobody meant. A value's
//! own `*`, `?` and `[` are ordinary characters, since a folder may be named so.

use glob::Pattern;

use super::error::SpecFault;

/// Replaces every `${NAME}` of `written` by what `lookup` says of `NAME`.
pub(super) fn expand(written: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, SpecFault> {
    let mut expanded = String::with_capacity(written.len());
    let mut rest = written;
    while let Some((before, after)) = rest.split_once("${") {
        let open = || SpecFault::OpenVariable {
            written: written.to_owned(),
        };
        let (name, tail) = after.split_once('}').ok_or_else(open)?;
        let value = lookup(name).filter(|value| !value.is_empty());
        expanded.push_str(before);
        let value = value.ok_or_else(|| SpecFault::UndefinedVariable { name: name.to_owned() })?;
        expanded.push_str(&Pattern::escape(&value));
        rest = tail;
    }
    expanded.push_str(rest);
    Ok(expanded)
}
