//! Flattening: rows that carry nine technical keys and no patient get the patient of the row with the same keys, whatever
//! the order of the sources, in small memory, load by load. The oracle is the engine's plain join of the plain sources.

use std::fmt::Write as _;
use std::path::PathBuf;

use datafusion::prelude::{CsvReadOptions, SessionContext};
use parcours_tables::load::{LoadError, LoadOptions, LoadReport, load};
use parcours_tables::reshard::{ReshardOptions, reshard};
use parcours_tables::source::RejectLimit;
use parcours_tables::spec::Dataset;
use parcours_tables::verify::{VerifyOptions, verify};

use crate::load_roundtrip::SpillWatch;
use crate::sandbox::{Dice, Sandbox, all_granted, lines, patient_id, query};

const KEYS: [&str; 9] = [
    "dct_ord_num",
    "flx_dis_dtd",
    "flx_emt_num",
    "flx_emt_ord",
    "flx_emt_typ",
    "flx_trt_dtd",
    "org_cle_num",
    "prs_ord_num",
    "rem_typ_aff",
];

/// The nine keys of act `n` of a month, as a CSV writes them; most of them are those of many others.
fn keys(month: u64, n: u64) -> String {
    format!(
        "{},2019-{month:02}-01,{},{},{},2019-{month:02}-{:02},C{:03},{n},{}",
        n % 97,
        n / 97 % 13,
        n % 5,
        n % 3,
        1 + n % 28,
        n % 7,
        n % 4
    )
}

struct Flat {
    sandbox: Sandbox,
    /// What `flatten` says beside its main table and keys.
    says: &'static str,
}

impl Flat {
    async fn new(shards: usize) -> Self {
        let sandbox = Sandbox::local(shards).await;
        for folder in ["prs", "pha"] {
            std::fs::create_dir_all(sandbox.sources().join(folder)).unwrap();
        }
        let says = r#"columns = ["exe_soi_dtd"]"#;
        Self { sandbox, says }
    }

    fn file(&self, folder: &str, name: impl std::fmt::Display) -> PathBuf {
        self.sandbox.sources().join(folder).join(format!("{name}.csv"))
    }

    /// Acts of a month: keys, patient, day, kind.
    fn write_acts(&self, month: u64, acts: std::ops::Range<u64>) {
        let mut text = format!("{},ben_idt_ano,exe_soi_dtd,prs_nat_ref\n", KEYS.join(","));
        let mut dice = Dice::new(month);
        for n in acts {
            let (patient, day) = (patient_id(dice.roll(400)), 1 + dice.roll(28));
            writeln!(
                text,
                "{},{patient},2018-{month:02}-{day:02},{}",
                keys(month, n),
                3000 + n % 40
            )
            .unwrap();
        }
        std::fs::write(self.file("prs", format!("{month:02}")), text).unwrap();
    }

    /// Drugs, each of one of the acts of a month, in no order.
    fn write_drugs(&self, name: &str, drugs: u64, seed: u64, act: impl Fn(&mut Dice) -> (u64, u64)) {
        let mut text = format!("pha_prs_c13,pha_act_qsn,{}\n", KEYS.join(","));
        let mut dice = Dice::new(seed);
        for n in 0..drugs {
            let (month, act) = act(&mut dice);
            let quantity = if n % 9 == 0 { String::new() } else { (n % 5).to_string() };
            writeln!(text, "34009{:08},{quantity},{}", n * 7 % 99_991, keys(month, act)).unwrap();
        }
        std::fs::write(self.file("pha", name), text).unwrap();
    }

    fn description(&self) -> String {
        let types = [
            "int32", "date32", "int32", "int32", "int16", "date32", "utf8", "int64", "int16",
        ];
        let described: String = KEYS
            .iter()
            .zip(types)
            .map(|(key, kind)| format!("  {{ name = \"{key}\", class = \"quasi\", type = \"{kind}\" }},\n"))
            .collect();
        format!(
            r#"
name = "claims"
patient_id = "ben_idt_ano"
shards = {shards}

[[tables]]
name = "er_pha_f"
sources = ["{sources}/pha/*.csv"]
order = ["exe_soi_dtd"]
flatten = {{ with = "er_prs_f", on = {KEYS:?}, {says} }}
columns = [
{described}
  {{ name = "pha_prs_c13", class = "health", type = "utf8" }},
  {{ name = "pha_act_qsn", class = "health", type = "int32" }},
]

[[tables]]
name = "er_prs_f"
sources = ["{sources}/prs/*.csv"]
order = ["exe_soi_dtd"]
columns = [
{described}
  {{ name = "ben_idt_ano", class = "identity", type = "utf8" }},
  {{ name = "exe_soi_dtd", class = "quasi", type = "date32" }},
  {{ name = "prs_nat_ref", class = "health", type = "int32" }},
]
"#,
            shards = self.sandbox.shards,
            sources = self.sandbox.sources().display(),
            says = self.says,
        )
    }

    async fn load(&self) -> Result<LoadReport, LoadError> {
        self.load_with(&self.sandbox.options()).await
    }

    async fn load_with(&self, options: &LoadOptions) -> Result<LoadReport, LoadError> {
        let dataset = Dataset::parse(&self.description(), self.sandbox.dir.path(), &|_| None).unwrap();
        let Sandbox { into, stores, keys, .. } = &self.sandbox;
        load(&dataset, into, stores, keys, options).await
    }

    fn rejects(&self) -> LoadOptions {
        LoadOptions {
            reject_to: Some(self.sandbox.dir.path().join("rejects.csv")),
            reject_limit: RejectLimit::Rows(10),
            ..self.sandbox.options()
        }
    }

    fn rejected(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.sandbox.dir.path().join("rejects.csv")).unwrap();
        let mut rows: Vec<String> = text.lines().skip(1).map(str::to_owned).collect();
        rows.sort();
        rows
    }

    async fn flattened(&self, columns: &str) -> Vec<String> {
        let session = self.sandbox.session().await;
        let keys = self.sandbox.reading().keys(all_granted());
        let sql = format!("SELECT {columns} FROM er_pha_f");
        let mut shown = lines(&query(&session, &keys, &sql).await.unwrap());
        shown.sort();
        shown
    }

    /// The plain join of the plain sources.
    async fn joined(&self, columns: &str) -> Vec<String> {
        let session = SessionContext::new();
        for folder in ["prs", "pha"] {
            let path = self.sandbox.sources().join(folder);
            let path = format!("{}/", path.display());
            session
                .register_csv(folder, &path, CsvReadOptions::new())
                .await
                .unwrap();
        }
        let sql = format!("SELECT {columns} FROM pha JOIN prs USING ({})", KEYS.join(", "));
        let mut shown = lines(&session.sql(&sql).await.unwrap().collect().await.unwrap());
        shown.sort();
        shown
    }

    async fn check(&self, rows: usize) {
        let columns = format!(
            "ben_idt_ano, exe_soi_dtd, {}, pha_prs_c13, pha_act_qsn",
            KEYS.join(", ")
        );
        let (found, expected) = (self.flattened(&columns).await, self.joined(&columns).await);
        assert_eq!((found.len(), expected.len()), (rows, rows));
        assert!(
            found == expected,
            "{:?} where {:?} was expected",
            found.first(),
            expected.first()
        );
        let Sandbox { into, stores, keys, .. } = &self.sandbox;
        let verified = verify(into, "claims", stores, keys, &VerifyOptions::default())
            .await
            .unwrap();
        assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_get_the_patient_and_the_day_of_their_parent() {
    let flat = Flat::new(4).await;
    flat.write_acts(1, 0..3_000);
    flat.write_acts(2, 0..3_000);
    flat.write_drugs("a", 5_000, 1, |dice| (1 + dice.roll(2), dice.roll(3_000)));
    flat.write_drugs("b", 4_000, 2, |dice| (2, dice.roll(500)));
    let report = flat.load().await.unwrap();
    assert_eq!(report.tables[0].rows, 9_000);
    flat.check(9_000).await;
    let described = flat.sandbox.snapshot().await.describe();
    let drugs = described.tables.iter().find(|table| table.name == "er_pha_f").unwrap();
    assert_eq!(drugs.sorted_by, ["ben_idt_ano", "exe_soi_dtd"]);
    let columns: Vec<_> = drugs
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.class.as_str()))
        .collect();
    assert_eq!(
        columns[..3],
        [
            ("ben_idt_ano", "identity"),
            ("exe_soi_dtd", "quasi"),
            ("dct_ord_num", "quasi")
        ]
    );
    assert_eq!(columns[11..], [("pha_prs_c13", "health"), ("pha_act_qsn", "health")]);
    assert_eq!(flat.load().await.unwrap().created, None);
    // It is a table like any other.
    let options = ReshardOptions {
        shards: 3,
        writing: LoadOptions::default(),
    };
    let Sandbox { into, stores, keys, .. } = &flat.sandbox;
    reshard(into, "claims", stores, keys, &options).await.unwrap();
    flat.check(9_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_left_out_where_that_is_said() {
    let mut flat = Flat::new(2).await;
    flat.says = r#"columns = ["prs_nat_ref", "flx_dis_dtd", "exe_soi_dtd"], keep_keys = false"#;
    flat.write_acts(1, 0..500);
    flat.write_drugs("a", 800, 1, |dice| (1, dice.roll(500)));
    flat.load().await.unwrap();
    let columns = "ben_idt_ano, prs_nat_ref, flx_dis_dtd, exe_soi_dtd, pha_prs_c13, pha_act_qsn";
    assert_eq!(flat.flattened("*").await, flat.joined(columns).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_memory_holds() {
    let flat = Flat::new(3).await;
    (1..=3).for_each(|month| flat.write_acts(month, 0..80_000));
    flat.write_drugs("0", 10, 9, |dice| (1, dice.roll(80_000)));
    flat.load().await.unwrap();
    // All parents are loaded: what spills from here on is of the join.
    for month in 1..=3 {
        flat.write_drugs(&month.to_string(), 120_000, month, |dice| {
            (1 + dice.roll(3), dice.roll(80_000))
        });
    }
    let small = |spill_bytes| LoadOptions {
        memory_bytes: 64 << 20,
        spill_bytes,
        ..flat.sandbox.options()
    };
    let refused = flat.load_with(&small(4 << 20)).await.unwrap_err().to_string();
    assert!(
        refused.contains("quota") && refused.contains("table er_pha_f"),
        "{refused}"
    );
    let watch = SpillWatch::start(small(0).spill_dir);
    flat.load_with(&small(1 << 40)).await.unwrap();
    let (seen, in_clear) = watch.stop();
    assert!(
        seen > 0 && in_clear == 0,
        "{in_clear} of {seen} spill files hold a value"
    );
    flat.check(360_010).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_parent_are_bad_rows() {
    let flat = Flat::new(2).await;
    flat.write_acts(1, 0..1_000);
    flat.write_drugs("a", 700, 1, |dice| (1, dice.roll(1_000)));
    let mut text = std::fs::read_to_string(flat.file("pha", "a")).unwrap();
    writeln!(text, "3400900000001,1,{}", keys(1, 1_000)).unwrap();
    writeln!(text, "3400900000002,1,{}", keys(1, 5).replacen("C", "D", 1)).unwrap();
    // A key is missing: it has no parent, whatever other rows lack.
    writeln!(text, "3400900000003,1,{}", keys(1, 7).replacen("C000", "", 1)).unwrap();
    // And one that is bad for another reason.
    writeln!(text, "3400900000004,many,{}", keys(1, 8)).unwrap();
    std::fs::write(flat.file("pha", "a"), &text).unwrap();
    let refused = flat.load().await.unwrap_err().to_string();
    assert!(
        refused.contains("pha/a.csv line") && refused.contains("not an integer"),
        "{refused}"
    );
    std::fs::write(flat.file("pha", "a"), text.replace(",many,", ",1,")).unwrap();
    let refused = flat.load().await.unwrap_err().to_string();
    assert!(
        refused.contains("pha/a.csv line 70") && refused.ends_with("no parent row has its keys"),
        "{refused}"
    );
    assert!(!refused.contains("3400900"), "{refused}");
    std::fs::write(flat.file("pha", "a"), &text).unwrap();
    let report = flat.load_with(&flat.rejects()).await.unwrap();
    assert_eq!((report.rejected, report.tables[0].rows), (4, 700));
    let rejected = flat.rejected();
    let lines_of: Vec<&str> = rejected.iter().map(|row| row.split(',').nth(1).unwrap()).collect();
    assert_eq!(lines_of, ["702", "703", "704", "705"]);
    assert!(
        rejected[..3]
            .iter()
            .all(|row| row.ends_with(",,\"no parent row has its keys\"")),
        "{rejected:?}"
    );
    assert!(rejected[3].ends_with("pha_act_qsn,\"not an integer\""), "{rejected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parents_may_have_been_loaded_before() {
    let flat = Flat::new(3).await;
    flat.write_acts(1, 0..900);
    flat.write_drugs("1", 600, 1, |dice| (1, dice.roll(900)));
    flat.load().await.unwrap();
    flat.check(600).await;
    // A month that comes together, then one that asks for parents of the month before, then drugs alone.
    flat.write_acts(2, 0..900);
    flat.write_drugs("2", 600, 2, |dice| (2, dice.roll(900)));
    flat.load().await.unwrap();
    flat.check(1_200).await;
    flat.write_acts(3, 0..900);
    flat.write_drugs("3", 600, 3, |dice| (1 + dice.roll(3), dice.roll(900)));
    flat.load().await.unwrap();
    flat.check(1_800).await;
    flat.write_drugs("4", 100, 4, |dice| (1 + dice.roll(3), dice.roll(900)));
    flat.load().await.unwrap();
    flat.check(1_900).await;
    // Acts alone; and bad rows are listed once although their file is read twice.
    flat.write_acts(4, 0..10);
    assert_eq!(flat.load().await.unwrap().tables[0].rows, 0);
    flat.check(1_900).await;
    flat.write_acts(5, 0..10);
    flat.write_drugs("5", 50, 5, |dice| (1 + dice.roll(3), dice.roll(900)));
    let mut text = std::fs::read_to_string(flat.file("pha", "5")).unwrap();
    writeln!(text, "3400900000001,many,{}", keys(1, 1)).unwrap();
    writeln!(text, "3400900000002,1,{}", keys(9, 1)).unwrap();
    std::fs::write(flat.file("pha", "5"), text).unwrap();
    let report = flat.load_with(&flat.rejects()).await.unwrap();
    assert_eq!(
        (report.rejected, report.tables[0].rows, flat.rejected().len()),
        (2, 50, 2)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn parents_with_the_same_keys_are_an_error() {
    let flat = Flat::new(2).await;
    flat.write_acts(1, 0..300);
    flat.write_drugs("a", 200, 1, |dice| (1, dice.roll(300)));
    let acts = std::fs::read_to_string(flat.file("prs", "01")).unwrap();
    let (header, rows) = acts.split_once('\n').unwrap();
    let again = rows.lines().nth(40).unwrap();
    std::fs::write(flat.file("prs", "02"), format!("{header}\n{again}\n")).unwrap();
    let error = flat.load().await.unwrap_err();
    assert!(matches!(error, LoadError::DuplicateKeys { .. }), "{error}");
    let said = error.to_string();
    for part in [
        "table er_prs_f",
        "prs/01.csv line 42",
        "prs/02.csv line 2",
        "table er_pha_f",
        "org_cle_num, prs_ord_num",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("IDMARK"), "{said}");
    assert!(
        flat.sandbox
            .files()
            .iter()
            .all(|file| file.extension().is_none_or(|ext| ext != "parquet"))
    );
    std::fs::remove_file(flat.file("prs", "02")).unwrap();
    flat.load().await.unwrap();
    flat.check(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_main_table_built_anew_takes_its_rows_with_it() {
    let flat = Flat::new(2).await;
    flat.write_acts(1, 0..300);
    flat.write_drugs("a", 200, 1, |dice| (1, dice.roll(300)));
    flat.load().await.unwrap();
    let acts = std::fs::read_to_string(flat.file("prs", "01")).unwrap();
    std::fs::write(flat.file("prs", "01"), acts.replace("IDMARK", "IDMARK2")).unwrap();
    assert!(matches!(flat.load().await, Err(LoadError::SourceChanged { .. })));
    let replace = LoadOptions {
        replace: true,
        ..flat.sandbox.options()
    };
    let report = flat.load_with(&replace).await.unwrap();
    assert!(report.tables.iter().all(|table| table.replaced));
    flat.check(200).await;
    assert!(
        flat.flattened("ben_idt_ano")
            .await
            .iter()
            .all(|id| id.ends_with("IDMARK2"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_that_cannot_be_are_refused() {
    let flat = Flat::new(2).await;
    let good = flat.description();
    let refused = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        Dataset::parse(&text, flat.sandbox.dir.path(), &|_| None)
            .unwrap_err()
            .to_string()
    };
    for (from, to, said) in [
        (
            "with = \"er_prs_f\"",
            "with = \"er_bio_f\"",
            "er_bio_f, which is no table of the dataset",
        ),
        (
            "with = \"er_prs_f\"",
            "with = \"er_pha_f\"",
            "which has no patient id in its sources",
        ),
        (
            "[\"dct_ord_num\"",
            "[\"dct\", \"dct_ord_num\"",
            "flattened on dct, which table er_pha_f does not have",
        ),
        (
            "[\"dct_ord_num\"",
            "[\"pha_act_qsn\"",
            "flattened on pha_act_qsn, which table er_prs_f does not have",
        ),
        ("[\"dct_ord_num\"", "[\"flx_dis_dtd\"", "names flx_dis_dtd twice"),
        (
            "columns = [\"exe_soi_dtd\"]",
            "columns = [\"exe_soi_dtf\"]",
            "takes exe_soi_dtf from er_prs_f, which does not have it",
        ),
        (
            "columns = [\"exe_soi_dtd\"]",
            "columns = [\"org_cle_num\"]",
            "takes org_cle_num, which it has already",
        ),
        (
            "columns = [\"exe_soi_dtd\"]",
            "columns = [\"ben_idt_ano\"]",
            "names the patient id, which is always taken",
        ),
        (
            "columns = [\"exe_soi_dtd\"]",
            "columns = []",
            "ordered by exe_soi_dtd, which it does not have",
        ),
        ("columns = [\"exe_soi_dtd\"]", "keys = []", "unknown key"),
        ("\"int64\" }", "\"int32\" }", "type int32 here and int64 in er_prs_f"),
        (
            "order = [\"exe_soi_dtd\"]",
            "sharded = false",
            "flattened and says sharded = false",
        ),
        (
            "{ name = \"pha_act_qsn\"",
            "{ name = \"ben_idt_ano\", class = \"identity\", type = \"utf8\" }, { name = \"pha_act_qsn\"",
            "describes the patient id ben_idt_ano",
        ),
    ] {
        let found = refused(from, to);
        assert!(found.contains(said), "{to}: {found}");
    }
}
