//! Every fault of a specification: refused, at its line, with a sentence that names the object and the remedy.

use std::path::Path;

use parcours_keys::ColumnClass;
use parcours_tables::spec::{ColumnType, Dataset, DateFormat, Format, SpecError};

const GOOD: &str = r#"name = "claims"
patient_id = "id"
shards = 4
splits = ["4", "8", "c"]

[[tables]]
name = "care"
sources = ["a*.csv", "s3://bucket/b/*.csv"]
order = ["day", "code"]
ignore = ["junk"]
csv = { delimiter = ";", null = ["", "NA"], date_format = "%Y%m%d" }
columns = [
  { name = "id", class = "identity", type = "utf8" },
  { name = "day", class = "quasi", type = "date32", missing = [1600-01-01] },
  { name = "code", class = "health", type = "utf8", from = "CODE" },
  { name = "paid", class = "plain", type = "decimal(10,2)", nullable = false },
]

[[tables]]
name = "label"
sources = ["label.parquet"]
sharded = false
columns = [{ name = "code", class = "plain" }]
"#;

fn parse(text: &str) -> Result<Dataset, SpecError> {
    Dataset::parse(text, Path::new("/data [x]"), &|name| {
        (name == "HERE").then(|| "/srv/*".to_owned())
    })
}

/// Refusal of the good specification with `old` replaced by `new`.
fn refusal(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    parse(&GOOD.replacen(old, new, 1)).unwrap_err().to_string()
}

#[test]
fn a_good_specification_says_what_was_written() {
    let dataset = parse(GOOD).unwrap();
    assert_eq!(
        (dataset.name.as_str(), dataset.patient_id.as_str(), dataset.shards),
        ("claims", "id", 4)
    );
    let care = dataset.table("care").unwrap();
    assert_eq!(care.patterns, ["/data [[]x[]]/a*.csv", "s3://bucket/b/*.csv"]);
    assert_eq!((care.format, care.sharded, care.patient), (Format::Csv, true, Some(0)));
    assert_eq!(
        (care.csv.delimiter, care.csv.quote, care.csv.header),
        (b';', Some(b'"'), true)
    );
    let day = care.column("day").unwrap();
    assert_eq!(
        (day.class, day.nullable, &day.format),
        (ColumnClass::Quasi, true, &DateFormat::Compact)
    );
    assert_eq!(day.missing, ["1600-01-01"]);
    assert!(!care.column("id").unwrap().nullable && !care.column("paid").unwrap().nullable);
    let types: Vec<String> = care
        .schema()
        .unwrap()
        .fields()
        .iter()
        .map(|field| field.data_type().to_string())
        .collect();
    assert_eq!(types, ["Utf8", "Date32", "Utf8", "Decimal128(10, 2)"]);
    let label = dataset.table("label").unwrap();
    assert_eq!(
        (label.format, label.sharded, label.patient, label.schema()),
        (Format::Parquet, false, None, None)
    );
}

#[test]
fn every_fault_is_named_with_its_line() {
    let cases = [
        ("\"claims\"", "\"Claims\"", "line 1: name Claims is not usable"),
        ("shards = 4", "shards = 0", "line 3: 0 shards: say 1 to 16384"),
        (
            "shards = 4",
            "shards = 5",
            "line 4: 3 split points for 5 shards: give 4, or leave splits out",
        ),
        ("\"8\"", "\"4\"", "line 4: split points are not ascending at position 2"),
        (
            "name = \"label\"",
            "name = \"care\"",
            "line 20: table care is described twice",
        ),
        (
            "name = \"label\"",
            "name = \"la bel\"",
            "line 20: name la bel is not usable",
        ),
        (
            "sources = [\"label.parquet\"]",
            "",
            "line 20: table label has no sources",
        ),
        (
            "label.parquet",
            "label.xls",
            "line 20: label.xls is no csv and no parquet, which is what is read: save it as csv",
        ),
        (
            "\"label.parquet\"",
            "\"l.parquet\", \"l.csv\"",
            "line 20: table label has both csv and parquet sources",
        ),
        (
            "[{ name = \"code\", class = \"plain\" }]",
            "[]",
            "line 20: table label has no columns",
        ),
        (
            "sharded = false",
            "",
            "line 20: table label has no patient id column id",
        ),
        (
            "sharded = false",
            "sharded = false\ncsv = {}",
            "line 23: csv options on table label, whose sources are parquet",
        ),
        (
            "{ name = \"code\", class = \"plain\" }",
            "{ name = \"id\", class = \"identity\" }",
            "line 20: table label is not sharded but holds the patient id id",
        ),
        (
            ", class = \"health\"",
            "",
            "line 15: column code of table care has no class: say identity, quasi, health or plain",
        ),
        (
            "class = \"health\"",
            "class = \"public\"",
            "line 15: class public of column code of table care is unknown",
        ),
        (
            ", type = \"utf8\", from",
            ", from",
            "line 15: column code of table care has no type, which its sources do not say",
        ),
        (
            "\"date32\"",
            "\"date\"",
            "line 14: type date is unknown: say bool, int8",
        ),
        (
            "decimal(10,2)",
            "decimal(39,2)",
            "line 16: type decimal(39,2) is unknown",
        ),
        ("decimal(10,2)", "decimal(2,3)", "line 16: type decimal(2,3) is unknown"),
        (
            "name = \"paid\"",
            "name = \"day\"",
            "line 16: table care describes column day twice",
        ),
        (
            "name = \"paid\"",
            "name = \"shard\"",
            "line 16: column name shard is taken by the layout",
        ),
        ("name = \"paid\"", "name = \"Paid\"", "line 16: name Paid is not usable"),
        (
            "from = \"CODE\"",
            "from = \"day\"",
            "line 15: table care reads source column day twice",
        ),
        (
            "\"junk\"",
            "\"CODE\"",
            "line 10: table care reads source column CODE and ignores it",
        ),
        (
            "[\"day\", \"code\"]",
            "[\"when\"]",
            "line 9: table care is ordered by when, which it does not have",
        ),
        (
            "[\"day\", \"code\"]",
            "[\"day\", \"day\"]",
            "line 9: table care is ordered by day twice",
        ),
        (
            "[\"day\", \"code\"]",
            "[\"id\"]",
            "line 9: order of table care names the patient id",
        ),
        (
            "class = \"identity\", type = \"utf8\"",
            "class = \"plain\", type = \"utf8\"",
            "line 13: patient id id of table care must have class identity",
        ),
        (
            "class = \"identity\", type = \"utf8\"",
            "class = \"identity\", type = \"date32\"",
            "line 13: patient id id of table care has type date32",
        ),
        (
            "class = \"identity\",",
            "class = \"identity\", nullable = true,",
            "line 13: patient id id of table care cannot be nullable",
        ),
        (
            "nullable = false",
            "format = \"%Y\"",
            "line 16: format on column paid of table care, which is no date or timestamp",
        ),
        (
            "nullable = false",
            "date_min = 2000-01-01",
            "line 16: date bounds on column paid of table care",
        ),
        (
            "missing = [1600-01-01]",
            "format = \"%Q\"",
            "line 14: date format %Q is refused: it may have %Y, %y, %m",
        ),
        (
            "missing = [1600-01-01]",
            "format = \"day\"",
            "line 14: date format day is refused: it has to say year, month and day",
        ),
        (
            "missing = [1600-01-01]",
            "date_min = \"1/1/2000\"",
            "line 14: 1/1/2000 is not a date",
        ),
        (
            "missing = [1600-01-01]",
            "date_min = 2001-01-01, date_max = 2000-01-01",
            "line 14: date_min is after date_max",
        ),
        (
            "delimiter = \";\"",
            "delimiter = \";;\"",
            "line 11: csv delimiter must be one ascii character",
        ),
        (
            "delimiter = \";\"",
            "delimiter = \"\\\"\"",
            "line 11: csv delimiter, quote, escape, decimal and thousands must differ",
        ),
        (
            "delimiter = \";\"",
            "header = false",
            "line 11: table care has no header",
        ),
        (
            "a*.csv",
            "${NOWHERE}/a.csv",
            "line 8: variable NOWHERE is not set: set it in the environment",
        ),
        ("a*.csv", "${HERE/a.csv", "line 8: source ${HERE/a.csv has ${ without }"),
        (
            "a*.csv",
            "http://host/a.csv",
            "line 8: source http://host/a.csv is not usable: say a local path or s3://bucket/path",
        ),
        (
            "s3://bucket/",
            "s3://buck*/",
            "line 8: source s3://buck*/b/*.csv is not usable: name one bucket",
        ),
    ];
    for (old, new, expected) in cases {
        let found = refusal(old, new);
        assert!(found.starts_with(expected), "{old} -> {new}: {found}");
    }
}

/// A pattern that would drop a part of a value, or make one up, is refused with the description.
#[test]
fn patterns_read_the_whole_of_a_value() {
    let described = |column_type: &str, format: &str, more: &str| {
        let old = "{ name = \"day\", class = \"quasi\", type = \"date32\", missing = [1600-01-01] }";
        let new =
            format!("{{ name = \"day\", class = \"quasi\", type = \"{column_type}\", format = '{format}'{more} }}");
        assert!(GOOD.contains(old));
        parse(&GOOD.replacen(old, &new, 1))
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let refused = [
        ("date32", "%d/%m", "", "it has to say year, month and day"),
        ("date32", "%Y %j %m", "", "%j says month and day already"),
        (
            "date32",
            "%d/%m/%Y %H:%M",
            "",
            "a date32 would drop the time that it reads",
        ),
        (
            "date32",
            "%d/%m/%Y%z",
            ", zone = \"UTC\"",
            "it says an offset and no time",
        ),
        (
            "date32",
            "%F %T%z",
            "",
            "it reads instants: say the zone whose clock the table shows",
        ),
        (
            "date32",
            "%F %H.%S",
            ", any_time = true",
            "it says seconds and no minutes",
        ),
        (
            "timestamp(us)",
            "%F %T",
            ", any_time = true",
            "which is not said to be a date32",
        ),
        (
            "date32",
            "%d/%m/%y",
            "",
            "two digits say which year it is only within a hundred years",
        ),
        ("date32", "%d/%m/%Y %d", "", "it says something twice"),
        ("date32", "%d/%m/%b/%Y", "", "it says something twice"),
        (
            "date32",
            "%-d%-m%Y",
            "",
            "a number without a fixed width is followed by digits",
        ),
        ("date32", "%A %F", "", "it may have %Y"),
        ("timestamp(us)", "%F %I:%M", "", "%I needs %p"),
        ("timestamp(us)", "%F %H %p", "", "%p needs %I"),
        ("timestamp(us)", "%F %M", "", "it says minutes and no hours"),
        ("timestamp(us)", "%F %H.%S", "", "it says seconds and no minutes"),
        ("timestamp(us)", "%F %H:%M.%f", "", "it says a fraction and no seconds"),
        ("timestamp(us)", "%F %T %Z", "", "it may have %Y"),
        ("timestamp(us)", "%F%z", "", "it says an offset and no time"),
        (
            "timestamp(us)",
            "%F %T%z",
            "",
            "it reads instants: say the zone whose clock the table shows",
        ),
        ("timestamp(us)", "%F %T%z", ", zone = \"Mars\"", "zone Mars is unknown"),
    ];
    for (column_type, format, more, reason) in refused {
        let error = described(column_type, format, more).unwrap_err();
        assert!(
            error.starts_with("line 14: ") && error.contains(reason),
            "{format}: {error}"
        );
    }
    let taken = [
        ("date32", "%d/%m/%Y 00:00:00", ""),
        ("date32", "%d/%m/%Y", ", zone = \"UTC\""),
        ("date32", "%FT%T%z", ", zone = \"Europe/Paris\""),
        ("date32", "%d/%m/%Y %H:%M", ", any_time = true"),
        ("date32", "%d%b%Y", ""),
        ("date32", "%Y-%j", ""),
        ("date32", "%d/%m/%y", ", date_min = 1926-01-01, date_max = 2025-12-31"),
        ("timestamp(us)", "%d/%m/%Y", ""),
        ("timestamp(us)", "%d/%m/%Y %H:%M", ""),
        ("timestamp(us)", "%d/%m/%Y %H:%M:%S,%3f", ""),
        ("timestamp(us)", "%-m/%-d/%Y %-I:%M %p", ""),
        ("timestamp(us)", "%FT%T%.f%z", ", zone = \"Europe/Paris\""),
    ];
    for (column_type, format, more) in taken {
        assert_eq!(described(column_type, format, more), Ok(()), "{format}");
    }
}

#[test]
fn csv_options_that_contradict_each_other_are_refused() {
    let refused = |option: &str| refusal("delimiter = \";\"", option);
    for (option, reason) in [
        ("decimal = \",\", thousands = \",\", delimiter = \";\"", "must differ"),
        ("escape = \"\\\"\"", "must differ"),
        ("thousands = \"12\"", "csv thousands must be one character"),
        ("thousands = \"-\"", "csv thousands must be one character"),
        (
            "booleans = { true = [\"O\"], false = [\"O\"] }",
            "csv booleans need texts",
        ),
        ("booleans = { true = [], false = [\"N\"] }", "csv booleans need texts"),
        ("encoding = \"ebcdic\"", "unknown variant"),
    ] {
        let error = refused(option);
        assert!(
            error.starts_with("line 11") && error.contains(reason),
            "{option}: {error}"
        );
    }
}

#[test]
fn unknown_keys_are_refused_with_those_there_are() {
    let found = refusal("shards = 4", "shards = 4\nshard_count = 4");
    assert!(
        found.starts_with("line 4: unknown key `shard_count`, expected one of `name`, `patient_id`"),
        "{found}"
    );
    let found = refusal("from = \"CODE\"", "form = \"CODE\"");
    assert!(
        found.starts_with("line 15: unknown key `form`, expected one of `name`, `class`, `type`, `from`"),
        "{found}"
    );
    let found = refusal("null = ", "nulls = ");
    assert!(found.contains("line 11: unknown key `nulls`"), "{found}");
    let found = refusal("order = [\"day\", \"code\"]", "order = [\"day\"");
    assert!(found.starts_with("line "), "{found}");
    let found = refusal("patient_id = \"id\"\n", "");
    assert!(found.contains("missing key `patient_id`"), "{found}");
}

#[test]
fn patient_ids_have_one_type() {
    let other = "\n[[tables]]\nname = \"more\"\nsources = [\"m.parquet\"]\ncolumns = [{ name = \"id\", class = \"identity\", type = \"int64\" }]\n";
    let found = parse(&format!("{GOOD}{other}")).unwrap_err().to_string();
    assert!(
        found.contains("patient id has type int64 in table more but utf8 before"),
        "{found}"
    );
    let nothing = "name = \"d\"\npatient_id = \"id\"\nshards = 1\n";
    assert!(
        parse(nothing)
            .unwrap_err()
            .to_string()
            .ends_with("dataset has no tables: add [[tables]]")
    );
    let reference = format!(
        "{nothing}[[tables]]\nname = \"l\"\nsharded = false\nsources = [\"l.parquet\"]\ncolumns = [{{ name = \"c\", class = \"plain\" }}]"
    );
    assert_eq!(parse(&reference).unwrap().patient_id, "id");
    // A dataset without patients need not say by what they are sharded; one with patients does.
    let alone = reference.replace("patient_id = \"id\"\nshards = 1\n", "");
    let dataset = parse(&alone).unwrap();
    assert_eq!((dataset.patient_id.as_str(), dataset.shards), ("", 1));
    for key in ["patient_id = \"id\"\n", "shards = 1\n"] {
        let sharded = reference.replace("sharded = false\n", "").replace(key, "");
        let found = parse(&sharded).unwrap_err().to_string();
        let name = key.split(' ').next().unwrap();
        assert!(
            found.contains(&format!("missing key `{name}`: say it, or sharded = false")),
            "{found}"
        );
    }
}

#[test]
fn split_points_are_values_of_the_patient_id() {
    let dataset = |splits: &str, class: &str| {
        parse(&format!(
            "name = \"d\"\npatient_id = \"id\"\nshards = 3\nsplits = {splits}\n[[tables]]\nname = \"t\"\nsources = [\"t.parquet\"]\n\
             columns = [{{ name = \"id\", class = \"identity\"{class} }}]"
        ))
    };
    let numbers = dataset("[9, \"10\"]", ", type = \"uint64\"").unwrap();
    let points = numbers.split_points(ColumnType::UInt64).unwrap().unwrap();
    assert_eq!(points.iter().map(ToString::to_string).collect::<Vec<_>>(), ["9", "10"]);
    let later = dataset("[9, 10]", "").unwrap();
    assert!(later.split_points(ColumnType::Int32).unwrap().is_some());
    assert!(
        later.split_points(ColumnType::Utf8).is_err(),
        "as texts, 10 comes before 9"
    );
    let found = dataset("[\"a\", \"b\"]", ", type = \"int32\"").unwrap_err().to_string();
    assert_eq!(
        found,
        "line 4: split point at position 1 is not of the patient id's type int32"
    );
    let found = dataset("[1, 300]", ", type = \"int8\"").unwrap_err().to_string();
    assert!(found.contains("position 2"), "{found}");
}

#[test]
fn the_digest_is_of_the_meaning() {
    let digest = |text: &str| parse(text).unwrap().digest().unwrap();
    let base = digest(GOOD);
    assert_eq!(base.len(), 64);
    assert_eq!(
        digest(&format!("# note\n{}", GOOD.replace("shards = 4", "shards   =  4"))),
        base
    );
    assert_eq!(
        digest(&GOOD.replace(
            "delimiter = \";\"",
            "delimiter = \";\", quote = \"\\\"\", header = true"
        )),
        base
    );
    for (old, new) in [
        ("\"plain\", type", "\"quasi\", type"),
        ("a*.csv", "b*.csv"),
        ("1600-01-01", "1601-01-01"),
        ("\"NA\"", "\"N\""),
    ] {
        assert_ne!(digest(&GOOD.replacen(old, new, 1)), base, "{old}");
    }
    let here = parse(&GOOD.replace("a*.csv", "${HERE}/a.csv")).unwrap();
    assert_eq!(here.tables[0].patterns[0], "/srv/[*]/a.csv", "a variable is no glob");
    let there = Dataset::parse(&GOOD.replace("a*.csv", "${HERE}/a.csv"), Path::new("/x"), &|_| {
        Some("/y".to_owned())
    })
    .unwrap();
    assert_eq!(here.digest().unwrap(), there.digest().unwrap());
}

#[test]
fn a_file_is_named_and_sources_are_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.toml");
    std::fs::write(&path, GOOD).unwrap();
    let dataset = Dataset::from_file(&path).unwrap();
    assert_eq!(
        dataset.tables[0].patterns[0],
        format!("{}/a*.csv", folder.path().display())
    );
    std::fs::write(&path, GOOD.replace("shards = 4", "shards = 0")).unwrap();
    let found = Dataset::from_file(&path).unwrap_err().to_string();
    assert_eq!(found, format!("{}:3:10: 0 shards: say 1 to 16384", path.display()));
    let found = Dataset::from_file(folder.path().join("absent.toml"))
        .unwrap_err()
        .to_string();
    assert!(found.starts_with("cannot read specification "), "{found}");
}
