"""What DuckDB reads in the files that `layouts.py` writes.

    layouts_oracle.py FOLDER DATASET

Which columns of a dataset are no text, and how they are written, stands here once more, apart from its description in
tests/datasets. Writes FOLDER/expected/TABLE.jsonl: a line with the name and type of each column, then a line for each
row, every value as text and NULL as null.
"""

import csv
import datetime
import decimal
import gzip
import json
import pathlib
import struct
import sys

import duckdb

PLAIN = "{}"
TRIMMED = "nullif(trim({}), '')"
FRENCH = "replace(replace({}, '.', ''), ',', '.')"
COMPACT = "strptime({}, '%Y%m%d')"
ORACLE_DAY = "nullif(strptime({}, '%d%b%Y:%H:%M:%S')::DATE, DATE '1600-01-01')"
IN_PARIS = "timezone('Europe/Paris', {}::TIMESTAMPTZ)"
YES_OR_NO = "CASE {} WHEN 'O' THEN true WHEN 'N' THEN false END"


class Reader:
    """How the files of a table are read.

    `types` are those of the columns that hold no text: type, expression over the field, names. `field` is an expression
    that is applied to the fields of all columns first. `year` is a column's name and what it is of a file's path. Rows of
    `short` tables may end before their last columns.
    """

    def __init__(self, files, types, delimiter, quote='"', encoding="utf-8", field=PLAIN, year=None, short=False):
        self.files, self.delimiter, self.quote, self.encoding = files, delimiter, quote, encoding
        self.types = {name: (kind, how) for kind, how, names in types for name in names.split()}
        self.field, self.year, self.short = field, year, short

    def query(self, folder, scratch):
        # The newest file has every column, in the order of the table.
        found = sorted((path for pattern in self.files for path in folder.glob(pattern)), reverse=True)
        assert found, self.files
        parts = [f"({self.file_query(path, scratch / f'{path.name}.utf-8')})" for path in found]
        return " UNION ALL BY NAME ".join(parts)

    def file_query(self, path, copy):
        """Selects the rows of a file, of which `copy` becomes a copy in UTF-8 that is not compressed."""
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(self.encoding)
        copy.write_text(text, encoding="utf-8", newline="")
        header = csv.reader([text.splitlines()[0]], delimiter=self.delimiter, quotechar=self.quote or None)
        names = [name.lower() or f"nameless_{at}" for at, name in enumerate(next(header))]
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
        values = [self.value(name) for name in names if not name.startswith("nameless_")]
        if self.year:
            column, of_path = self.year
            values.insert(0, f"CAST('{of_path(path)}' AS SMALLINT) AS {column}")
        quotes = f"quote='{self.quote}', escape='{self.quote}', delim='{self.delimiter}', null_padding={self.short}"
        source = f"read_csv('{copy}', columns={{{columns}}}, auto_detect=false, header=true, {quotes})"
        return f"SELECT {', '.join(values)} FROM {source}"

    def value(self, name):
        kind, how = self.types.get(name, ("VARCHAR", PLAIN))
        return f"CAST({how.format(self.field.format(name))} AS {kind}) AS {name}"


IN_FOLDER = ("annee", lambda path: path.parent.name.removeprefix("annee="))


def in_name(column, first):
    """The year is four letters of the name, from this one on."""
    return column, lambda path: path.name[first : first + 4]


def amounts(names):
    return ("DECIMAL(18,2)", PLAIN, names)


DAMIR = Reader(
    ["A*.csv", "A*.csv.gz"],
    [
        ("BIGINT", PLAIN, "prs_act_nbr prs_act_qte flt_act_nbr flt_act_qte"),
        amounts("prs_act_cog prs_dep_mnt prs_pai_mnt prs_rem_bse prs_rem_mnt"),
        amounts("flt_act_cog flt_dep_mnt flt_pai_mnt flt_rem_mnt"),
        ("DECIMAL(5,2)", PLAIN, "prs_rem_tau"),
    ],
    ";",
    year=in_name("flx_ann", 1),
)
BENEFICIARIES = Reader(
    ["IR_BEN_R.csv"],
    [
        ("SMALLINT", "nullif(nullif({}, '1600'), '0000')", "ben_nai_ann"),
        ("TINYINT", PLAIN, "ben_rng_gem ben_nai_moi"),
        ("BOOLEAN", PLAIN, "ben_idt_top ben_top_cns"),
        ("DATE", ORACLE_DAY, "ben_idt_maj ben_dcd_dte max_trt_dtd ben_dte_ins ben_dte_maj"),
        ("VARCHAR", "nullif({}, '160001')", "ben_dcd_ame"),
    ],
    ",",
)
MEDIC = {"delimiter": ";", "encoding": "windows-1252"}
MEDIC_NUMBERS = [("BIGINT", FRENCH, "boites nbc"), ("DECIMAL(18,2)", FRENCH, "rem bse")]
DISPENSINGS = Reader(
    ["delivrances.csv"],
    [
        ("DATE", PLAIN, "exe_soi_dtd flx_dis_dtd"),
        ("INTEGER", PLAIN, "pha_act_qsn"),
        ("DECIMAL(10,2)", "replace({}, ',', '.')", "pha_act_prx"),
    ],
    ";",
    field="nullif(nullif({}, 'NA'), '')",
    short=True,
)


def stays(table, types, field=TRIMMED):
    """A table of PMSI as SAS exports it."""
    return Reader([f"annee=*/T_MCO??{table}.csv"], types, ";", encoding="windows-1252", field=field, year=IN_FOLDER)


CONSULTATIONS = Reader(
    ["annee=*/T_MCO??CSTC.csv"],
    [
        ("DATE", "strptime({}, '%d%m%Y')", "ent_dat"),
        ("DATE", IN_PARIS, "exe_soi_dtd exe_soi_dtf"),
        ("DECIMAL(10,2)", PLAIN, "rac_mnt_pat"),
    ],
    ",",
    year=IN_FOLDER,
)
UNITS = Reader(
    ["annee=*/T_MCO??UM.csv"],
    [("SMALLINT", PLAIN, "um_ord_num par_dur_sej"), ("DECIMAL(6,2)", PLAIN, "par_nbr_sej")],
    ",",
    encoding="utf-8-sig",
    year=IN_FOLDER,
)
B_NUMBERS = "nbr_rum nbr_sea nbr_dgn nbr_act nbr_sup_ssc age_ann age_jou age_ges sor_ann sej_nbj exb_nbj beh_nbj"


def vocabulary(name, integers, types=()):
    """A table of Athena: no quotes, whatever stands in a field."""
    return Reader([f"{name}.csv"], [("INTEGER", PLAIN, integers), *types], "\t", quote="")


VALIDITY = ("DATE", COMPACT, "valid_start_date valid_end_date")
PERSON = Reader(
    ["person.csv"],
    [
        ("INTEGER", "{}::DOUBLE", "person_id gender_concept_id year_of_birth month_of_birth day_of_birth location_id"),
        ("INTEGER", "{}::DOUBLE", "race_concept_id ethnicity_concept_id care_site_id"),
        ("BIGINT", "{}::DOUBLE", "provider_id"),
        ("TIMESTAMP", PLAIN, "birth_datetime"),
    ],
    "\t",
)
TABLES = {
    "open_damir": {"open_damir": DAMIR},
    "ir_ben_r": {"ir_ben_r": BENEFICIARIES},
    "open_medic": {
        "open_medic": Reader(["OPEN_MEDIC_*.CSV"], MEDIC_NUMBERS, year=in_name("annee", 11), **MEDIC),
        "open_medic_nb": Reader(["NB_*_cip13.CSV.gz"], MEDIC_NUMBERS, year=in_name("annee", 3), **MEDIC),
        "delivrances": DISPENSINGS,
    },
    "pmsi_mco": {
        "t_mco_c": stays("C", [("DATE", ORACLE_DAY, "exe_soi_dtd exe_soi_dtf"), ("SMALLINT", PLAIN, "sor_ann")]),
        "t_mco_b": stays(
            "B",
            [
                ("SMALLINT", "nullif({}, '.')", f"{B_NUMBERS} poi_nai"),
                ("INTEGER", PLAIN, "ghs_num"),
                ("BOOLEAN", PLAIN, "pas_lit_ded uhcd_top top_ghs_min_sus"),
            ],
        ),
        "t_mco_d": stays("D", [("SMALLINT", PLAIN, "dgn_ass_num")]),
        "t_mco_a": stays("A", [("SMALLINT", PLAIN, "ent_dat_del nbr_exe_act"), ("BOOLEAN", YES_OR_NO, "rem_exp_act")]),
        "t_mco_um": UNITS,
        "t_mco_cstc": CONSULTATIONS,
        "t_mco_e": stays("E", [], field=PLAIN),
    },
    "athena": {
        "concept": vocabulary("CONCEPT", "concept_id", [VALIDITY]),
        "concept_relationship": vocabulary("CONCEPT_RELATIONSHIP", "concept_id_1 concept_id_2", [VALIDITY]),
        "concept_ancestor": vocabulary(
            "CONCEPT_ANCESTOR",
            "ancestor_concept_id descendant_concept_id min_levels_of_separation max_levels_of_separation",
        ),
        "concept_synonym": vocabulary("CONCEPT_SYNONYM", "concept_id language_concept_id"),
        "vocabulary": vocabulary("VOCABULARY", "vocabulary_concept_id"),
        "drug_strength": vocabulary(
            "DRUG_STRENGTH",
            "drug_concept_id ingredient_concept_id amount_unit_concept_id numerator_unit_concept_id "
            "denominator_unit_concept_id box_size",
            [("DOUBLE", PLAIN, "amount_value numerator_value denominator_value"), VALIDITY],
        ),
        "person": PERSON,
    },
}
# Tables of stays without a patient, and what they get from the row of T_MCOaaC with the same keys.
WITH_PATIENT = ("t_mco_b", "t_mco_d", "t_mco_a", "t_mco_um")
KEYS, TAKEN = ("annee", "eta_num", "rsa_num"), ("nir_ano_17", "exe_soi_dtd")


def with_patient(query, stays):
    equal = " AND ".join(f"own.{key} = stay.{key}" for key in KEYS)
    taken = ", ".join(f"stay.{name}" for name in TAKEN)
    return f"SELECT {taken}, own.* FROM ({query}) own JOIN ({stays}) stay ON {equal}"


def text(value):
    """A value as the test writes it, too; a floating-point number by its bits."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return struct.pack(">d", value).hex()
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="microseconds")
    return f"{value:f}" if isinstance(value, decimal.Decimal) else str(value)


def write(found, path):
    rows = [[text(value) for value in row] for row in found.fetchall()]
    for name, values in zip(found.columns, zip(*rows)):
        assert any(value is not None for value in values), f"{path.stem}.{name} has no value to compare"
    header = [[name, str(kind)] for name, kind in zip(found.columns, found.types)]
    lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in [header, *rows]]
    path.write_text("".join(lines), encoding="utf-8")


def expected(folder, dataset):
    scratch = folder / "scratch"
    scratch.mkdir()
    (folder / "expected").mkdir()
    queries = {table: reader.query(folder / dataset, scratch) for table, reader in TABLES[dataset].items()}
    for table, query in queries.items():
        if table in WITH_PATIENT:
            query = with_patient(query, queries["t_mco_c"])
        write(duckdb.sql(query), folder / "expected" / f"{table}.jsonl")


if __name__ == "__main__":
    expected(pathlib.Path(sys.argv[1]), sys.argv[2])
