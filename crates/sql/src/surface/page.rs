//! The pages of `docs/sql`, written from the tables. A unit test holds the files against what is written here; with
//! `PARCOURS_APPROVE=1` it writes them anew.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{Entry, Kind, LeftOut, SURFACE, entries};

/// The longest line.
const WIDTH: usize = 120;

/// What stands on top of every page.
const WRITTEN: &str =
    "<!-- Written from crates/sql/surface by PARCOURS_APPROVE=1 cargo test -p parcours-sql surface. -->\n";

/// A page: the name of its file, and its text.
pub type Page = (&'static str, String);

/// All pages.
pub fn pages() -> [Page; 4] {
    [
        ("README.md", index()),
        ("clauses.md", of_kind("Clauses", CLAUSES, Kind::Clause)),
        (
            "operators.md",
            of_kind("Operators and expressions", OPERATORS, Kind::Operator),
        ),
        ("functions.md", functions()),
    ]
}

const INDEX: &str = "\
    What a statement may use is a list: the clauses, operators and functions on these pages. Each has an example \
    that `tests/tests/surface.rs` asks of a cluster over 16 shards of patients, and whose rows it holds against \
    those of DuckDB or against what the function is defined to give. Whatever is not listed is refused by name, \
    with the nearest that is. Nothing is dropped without a word.";

const TABLES: &str = "\
    The examples read the tables of `tests/python/corner.py`. Of patients there are `t` and `u`, with the \
    patient `p`, numbers `id`, `k`, `g`, `x` and `y`, a code `c` and a day `d`; in `t` alone, floats `f`, money \
    `m`, texts `s`, truths `z`, moments `ts` and others; and the small tables `a`, `b` and `r`. `ref` is a table \
    without patients. Every column but `p` and `id` is NULL here and there.";

const CLAUSES: &str =
    "In the order in which a statement has them. What is refused says so, with what to write instead.";

const OPERATORS: &str = "NULL gives NULL unless it is said otherwise.";

const FUNCTIONS: &str = "\
    A function of one row's values gives NULL if an argument is NULL, an aggregate passes NULLs over and gives \
    NULL if no other value is there, unless it is said otherwise.";

fn index() -> String {
    let mut page = format!("# The SQL of Parcours\n\n{WRITTEN}\n");
    paragraph(&mut page, INDEX);
    paragraph(&mut page, TABLES);
    page.push_str("## Contents\n\n");
    for (title, file, kind) in [
        ("Clauses", "clauses.md", Kind::Clause),
        ("Operators and expressions", "operators.md", Kind::Operator),
    ] {
        let groups: Vec<String> = groups(kind)
            .iter()
            .map(|(group, _)| format!("[{group}]({file}#{})", anchor(group)))
            .collect();
        item(&mut page, &format!("[{title}]({file}): {}", groups.join(", ")));
    }
    for (title, kind) in FUNCTION_KINDS {
        item(&mut page, &format!("[{title}](functions.md#{})", anchor(title)));
        for (group, of_group) in groups(kind) {
            let names: Vec<String> = of_group.iter().map(|entry| linked(kind, entry)).collect();
            nested(&mut page, &format!("{group}: {}", names.join(", ")));
        }
    }
    page.push_str("\n## Where engines differ\n\n");
    paragraph(
        &mut page,
        "PostgreSQL decides where the standard is silent, and DuckDB where PostgreSQL has nothing to say.",
    );
    for choice in CHOICES.iter() {
        let _ = writeln!(page, "### {}\n", choice.title);
        for line in &choice.lines {
            item(&mut page, line);
        }
        page.push('\n');
    }
    page.push_str("## Left out\n\n");
    paragraph(
        &mut page,
        "Functions and operators that the engine has and that are refused, and why.",
    );
    for entry in &SURFACE.left_out {
        item(&mut page, &left_out(entry));
    }
    page.push_str("\n## Names of other dialects\n\n");
    let others = SURFACE
        .elsewhere
        .iter()
        .map(|(name, instead)| format!("`{name}` is {instead}"));
    paragraph(&mut page, &format!("{}.", others.collect::<Vec<_>>().join("; ")));
    ended(page)
}

fn left_out(entry: &LeftOut) -> String {
    let names: Vec<String> = entry.names.iter().map(|name| format!("`{name}`")).collect();
    let instead = entry
        .instead
        .as_ref()
        .map(|instead| format!("; use {instead}"))
        .unwrap_or_default();
    format!("{}: {}{instead}.", names.join(", "), entry.reason)
}

/// A heading with some lines below it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    title: String,
    lines: Vec<String>,
}

static CHOICES: LazyLock<Vec<Choice>> = LazyLock::new(|| read_choices().unwrap_or_default());

fn read_choices() -> Result<Vec<Choice>, toml::de::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        choice: Vec<Choice>,
    }
    toml::from_str::<Table>(include_str!("../../surface/choices.toml")).map(|table| table.choice)
}

const FUNCTION_KINDS: [(&str, Kind); 4] = [
    ("Functions of a row", Kind::Scalar),
    ("Aggregates", Kind::Aggregate),
    ("Window functions", Kind::Window),
    ("Functions in FROM", Kind::Table),
];

fn functions() -> String {
    let mut page = format!("# Functions\n\n{WRITTEN}\n");
    paragraph(&mut page, FUNCTIONS);
    for (title, kind) in FUNCTION_KINDS {
        let _ = writeln!(page, "## {title}\n");
        body(&mut page, kind, 3);
    }
    ended(page)
}

fn of_kind(title: &str, about: &str, kind: Kind) -> String {
    let mut page = format!("# {title}\n\n{WRITTEN}\n");
    paragraph(&mut page, about);
    body(&mut page, kind, 2);
    ended(page)
}

/// A page ends with one line's end.
fn ended(page: String) -> String {
    format!("{}\n", page.trim_end())
}

/// The entries of a kind under the headings of their groups.
fn body(page: &mut String, kind: Kind, level: usize) {
    for (group, entries) in groups(kind) {
        let _ = writeln!(page, "{} {group}\n", "#".repeat(level));
        for entry in entries {
            let _ = writeln!(page, "{} {}\n", "#".repeat(level + 1), title(kind, entry));
            definition(page, entry);
        }
    }
}

/// Groups in the order in which they begin, without what is internal.
fn groups(kind: Kind) -> Vec<(&'static str, Vec<&'static Entry>)> {
    let mut groups: Vec<(&str, Vec<&Entry>)> = Vec::new();
    for entry in entries(kind).iter().filter(|entry| !entry.internal) {
        match groups.iter_mut().find(|(group, _)| *group == entry.group) {
            Some((_, of_group)) => of_group.push(entry),
            None => groups.push((&entry.group, vec![entry])),
        }
    }
    groups
}

/// Names that several kinds of functions have.
static SHARED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let mut seen = HashSet::new();
    let functions = Kind::ALL
        .into_iter()
        .filter(|kind| kind.is_function())
        .flat_map(entries);
    functions
        .map(|entry| entry.name.as_str())
        .filter(|name| !seen.insert(*name))
        .collect()
});

/// The heading of an entry; of a name that stands twice, the second says which it is.
fn title(kind: Kind, entry: &Entry) -> String {
    let name = match kind.is_function() {
        true => format!("`{}`", entry.name),
        false => entry.name.clone(),
    };
    match kind {
        Kind::Window if SHARED.contains(entry.name.as_str()) => format!("{name} of a window"),
        Kind::Table if SHARED.contains(entry.name.as_str()) => format!("{name} in FROM"),
        _ => name,
    }
}

fn linked(kind: Kind, entry: &Entry) -> String {
    let aliases: String = entry.aliases.iter().map(|alias| format!(" `{alias}`")).collect();
    let main = format!("[`{}`](functions.md#{})", entry.name, anchor(&title(kind, entry)));
    match aliases.as_str() {
        "" => main,
        aliases => format!("{main} (also{})", aliases.replace("` `", "`, `")),
    }
}

/// The address of a heading on its page, as GitHub makes it.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .collect()
}

fn definition(page: &mut String, entry: &Entry) {
    paragraph(page, &format!("`{}`", entry.syntax));
    paragraph(page, &entry.about);
    let mut items: Vec<String> = Vec::new();
    if !entry.types.is_empty() {
        items.push(format!("Types: {}.", entry.types));
    }
    if let Some(null) = &entry.null {
        items.push(format!("NULL: {null}"));
    }
    if !entry.aliases.is_empty() {
        items.push(format!("Also: `{}`.", entry.aliases.join("`, `")));
    }
    if let Some(note) = &entry.note {
        items.push(format!("Note: {note}"));
    }
    if entry.refused.is_some() {
        let instead = entry.instead.as_deref().unwrap_or_default();
        items.push(format!("Refused. Instead: {instead}."));
    } else {
        items.push(checked(entry));
    }
    for line in &items {
        item(page, line);
    }
    let _ = writeln!(page, "\n```sql\n{}\n```\n", entry.example.trim());
    if entry.refused.is_none()
        && let Some(sql) = &entry.oracle_sql
    {
        let _ = writeln!(page, "In DuckDB:\n\n```sql\n{}\n```\n", sql.trim());
    }
}

/// Who says that the example's answer is right.
fn checked(entry: &Entry) -> String {
    match (&entry.oracle, &entry.oracle_sql, &entry.source) {
        (Some(_), _, _) => "Held against DuckDB, which has the same statement.".to_owned(),
        (_, Some(_), _) => "Held against DuckDB, which writes it as below.".to_owned(),
        (_, _, Some(source)) => format!("Held against its {source}."),
        _ => "Held against nothing.".to_owned(),
    }
}

fn paragraph(page: &mut String, text: &str) {
    wrapped(page, "", "", text);
    page.push('\n');
}

fn item(page: &mut String, text: &str) {
    wrapped(page, "- ", "  ", text);
}

fn nested(page: &mut String, text: &str) {
    wrapped(page, "  - ", "    ", text);
}

/// Words on lines that are not too long.
fn wrapped(page: &mut String, first: &str, others: &str, text: &str) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let more = word.chars().count() + usize::from(!empty);
        if !empty && line.chars().count() + more > WIDTH {
            let _ = writeln!(page, "{line}");
            line = others.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(page, "{line}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Set to have the pages written.
    const APPROVE: &str = "PARCOURS_APPROVE";

    #[test]
    fn the_documentation_is_what_the_tables_say() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sql");
        for (file, page) in pages() {
            let path = folder.join(file);
            if std::env::var_os(APPROVE).is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &page).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == page,
                "docs/sql/{file} is not what the tables say, run this test with {APPROVE}=1"
            );
        }
    }

    #[test]
    fn lines_are_short_enough_to_be_read() {
        for (file, page) in pages() {
            for line in page.lines() {
                assert!(line.chars().count() <= WIDTH, "{file}: {line}");
            }
        }
    }

    #[test]
    fn every_link_has_its_heading() {
        let pages = pages();
        let headings = |file: &str| -> HashSet<String> {
            let (_, page) = pages.iter().find(|(name, _)| *name == file).unwrap();
            let headings = page.lines().filter(|line| line.starts_with('#'));
            headings
                .map(|line| anchor(line.trim_start_matches('#').trim()))
                .collect()
        };
        for (_, page) in &pages {
            for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if let Some((file, heading)) = target.split_once('#') {
                    assert!(headings(file).contains(heading), "{target}");
                }
            }
        }
    }

    #[test]
    fn choices_are_read() {
        assert!(read_choices().unwrap().len() > 3);
    }
}
