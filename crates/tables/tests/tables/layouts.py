"""Writes files in the layouts of Open Damir, IR_BEN_R, Open Medic, PMSI exports and Athena vocabularies.

    layouts.py FOLDER SEED ROWS

Each dataset goes into a folder of its name, with about ROWS rows a file. Names of columns, codes, delimiters, encodings
and the ways in which numbers and dates are written are those of the real files; every row is made up here. The first
rows of a file hold the values that are hard to read, whatever the seed.
"""

import csv
import datetime
import decimal
import gzip
import io
import pathlib
import random
import string
import sys
import zoneinfo

PARIS = zoneinfo.ZoneInfo("Europe/Paris")
ALPHABET = string.ascii_letters + string.digits


# How values are made: functions of the dice and of the row's number.


def among(*texts):
    """Each of these in turn, then any of them."""
    return lambda dice, n: texts[n] if n < len(texts) else dice.choice(texts)


def codes(texts):
    return among(*texts.split())


def count(least, most, *corners):
    return lambda dice, n: corners[n] if n < len(corners) else str(dice.randint(least, most))


def amount(written, *corners):
    """Cents, mostly small, as `written` writes an amount."""

    def make(dice, n):
        if n < len(corners):
            return corners[n]
        return written(decimal.Decimal(dice.randint(-9_000, 10 ** dice.randint(2, 9))) / 100)

    return make


def shortest(value):
    """As Oracle writes numbers: no zero before the point and none at the end, such as .61, -.2 and 696.3."""
    text = f"{value.normalize():f}"
    return text.replace("0.", ".", 1) if 0 < abs(value) < 1 else text


def french(value):
    """With points between groups of three digits, and a comma: 228.579,71."""
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))


def datetime20(day):
    """As SAS writes a date of Oracle: 05JAN2021:00:00:00."""
    return day.strftime("%d%b%Y:00:00:00").upper()


def instant(day):
    """As R writes the midnight of Paris in UTC: 2021-01-04T23:00:00Z."""
    midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=PARIS)
    return midnight.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def a_day(dice, year):
    return datetime.date(year, 1, 1) + datetime.timedelta(days=dice.randint(0, 364))


def pseudonyms(dice, number):
    return ["".join(dice.choices(ALPHABET, k=17)) for _ in range(number)]


def made(dice, rows, columns):
    return [[make(dice, n) for make in columns.values()] for n in range(rows)]


# How files are written.


def delimited(names, rows, delimiter, ends="\n", quoting=csv.QUOTE_MINIMAL):
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=ends, quoting=quoting)
    writer.writerow(names)
    writer.writerows(rows)
    return buffer.getvalue()


def unquoted(names, rows, delimiter, end="\n"):
    return "".join(delimiter.join(row) + end for row in [names, *rows])


def save(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


# Open Damir: a month of reimbursements by kind of care, people and place.

REGIONS = "5 11 24 27 28 32 44 52 53 75 76 84 93 99"
DAMIR_CODES = f"""
ORG_CLE_REG {REGIONS}
AGE_BEN_SNDS 99 0 20 30 40 50 60 70 80
BEN_RES_REG {REGIONS}
BEN_CMU_TOP 0 1 2 9
BEN_QLT_COD 1 2 3 9
BEN_SEX_COD 9 0 1 2
DDP_SPE_COD 121 103 166 999
ETE_CAT_SNDS 9999 1101 1102 2205
ETE_REG_COD {REGIONS}
ETE_TYP_SNDS 99 1 4
ETP_REG_COD {REGIONS}
ETP_CAT_SNDS 2205 9999 1102
MDT_TYP_COD 9 3 7
MFT_COD 99 3 20
PRS_FJH_TYP 0 1 2 3 8 9
ASU_NAT 10 22 30 41 99
ATT_NAT 0 1 2 9
CPL_COD 0 1 2 3 9
CPT_ENV_TYP 1 2 3 99
DRG_AFF_NAT 0 11 16 33 35 36 99
ETE_IND_TAA 9 0 1 2
EXO_MTF 41 0 42 43 62 99
MTM_NAT 0 1 9
PRS_NAT 1976 1111 1848 1911 3134 3313 9422
PRS_PPU_SEC 1 2 9
PRS_REM_TYP 0 1 2 5 10 11 99
PRS_PDS_QCP 31 0 21 99
EXE_INS_REG {REGIONS}
PSE_ACT_SNDS 24 50 99
PSE_ACT_CAT 1 3 9
PSE_SPE_SNDS 0 1 27 99
PSE_STJ_SNDS 1 2 9
PRE_INS_REG {REGIONS}
PSP_ACT_SNDS 0 27 99
PSP_ACT_CAT 0 1 9
PSP_SPE_SNDS 1 8 99
PSP_STJ_SNDS 2 1 9
TOP_PS5_TRG 1 0 9
ETB_DCS_MCO Z M C O
SOI_ANN 0000 0001 2022 2023 2024 2025
SOI_MOI 00 01 02 03 04 05 06 07 08 09 10 11 12
"""
DAMIR = """
FLX_ANN_MOI ORG_CLE_REG AGE_BEN_SNDS BEN_RES_REG BEN_CMU_TOP BEN_QLT_COD BEN_SEX_COD DDP_SPE_COD ETE_CAT_SNDS
ETE_REG_COD ETE_TYP_SNDS ETP_REG_COD ETP_CAT_SNDS MDT_TYP_COD MFT_COD PRS_FJH_TYP PRS_ACT_COG PRS_ACT_NBR PRS_ACT_QTE
PRS_DEP_MNT PRS_PAI_MNT PRS_REM_BSE PRS_REM_MNT FLT_ACT_COG FLT_ACT_NBR FLT_ACT_QTE FLT_PAI_MNT FLT_DEP_MNT
FLT_REM_MNT SOI_ANN SOI_MOI ASU_NAT ATT_NAT CPL_COD CPT_ENV_TYP DRG_AFF_NAT ETE_IND_TAA EXO_MTF MTM_NAT PRS_NAT
PRS_PPU_SEC PRS_REM_TAU PRS_REM_TYP PRS_PDS_QCP EXE_INS_REG PSE_ACT_SNDS PSE_ACT_CAT PSE_SPE_SNDS PSE_STJ_SNDS
PRE_INS_REG PSP_ACT_SNDS PSP_ACT_CAT PSP_SPE_SNDS PSP_STJ_SNDS TOP_PS5_TRG ETB_DCS_MCO
""".split()
DAMIR_MEASURES = {"PRS_REM_TAU": among("100", "65", "30", "15", "33.4", "0")}
DAMIR_MEASURES |= {f"{level}_ACT_NBR": count(-9, 400, "", "-5", "1", "0") for level in ("PRS", "FLT")}
DAMIR_MEASURES |= {f"{level}_ACT_QTE": count(-9, 9_000, "-5", "0", "1200000") for level in ("PRS", "FLT")}
# The columns at the end come and go with the months; regularisations are negative.
DAMIR_MONTHS = {
    "A202306.csv": {"ETB_DCS_MCO"},
    "A202405.csv.gz": {"PSP_STJ_SNDS", "TOP_PS5_TRG"},
    "A202501.csv.gz": set(),
}


def damir_columns(month, without):
    chosen = {line.split()[0]: among(*line.split()[1:]) for line in DAMIR_CODES.strip().splitlines()}
    chosen |= DAMIR_MEASURES | {"FLX_ANN_MOI": among(month)}
    money = amount(shortest, ".61", "-.2", "0", "696.3", "-5", "12345678.9", "-1520.75")
    return {name: chosen.get(name, money) for name in DAMIR if name not in without}


def open_damir(folder, seed, rows):
    for name, without in DAMIR_MONTHS.items():
        columns = damir_columns(name[1:7], without)
        made_up = made(random.Random(f"{seed} {name}"), rows, columns)
        save(folder / name, unquoted(list(columns), made_up, ";", ";\n"))


def ir_ben_r(folder, seed, rows):
    save(folder / "IR_BEN_R.csv", beneficiaries(random.Random(f"{seed} IR_BEN_R"), rows))


def beneficiaries(dice, rows):
    """IR_BEN_R as SAS exports it: dates of Oracle, 1600 for years and days that are not known."""
    people, others = pseudonyms(dice, max(rows // 2, 1)), pseudonyms(dice, rows)
    day = lambda dice, n: datetime20(datetime.date(1600, 1, 1) if n % 3 == 0 else a_day(dice, 2019))
    columns = {
        "BEN_NIR_PSA": lambda dice, n: others[n],
        "BEN_RNG_GEM": codes("1 2 3"),
        "BEN_NIR_ANO": lambda dice, n: others[-n - 1],
        "BEN_IDT_ANO": lambda dice, n: people[n % len(people)],
        "BEN_IDT_TOP": codes("1 0"),
        "ASS_NIR_ANO": lambda dice, n: dice.choice(others),
        "BEN_IDT_MAJ": day,
        "BEN_CDI_NIR": codes("00 01 04 99"),
        "BEN_NAI_ANN": codes("1600 1907 1954 1987 2019 0000"),
        "BEN_NAI_MOI": codes("01 02 09 12 00"),
        "BEN_SEX_COD": codes("1 2 0 9"),
        "BEN_DCD_DTE": day,
        "BEN_DCD_AME": codes("160001 201902 201912"),
        "ORG_AFF_BEN": codes("01C751 01C130 09A000"),
        "BEN_RES_DPT": codes("075 013 02A 971 099 001"),
        "BEN_RES_COM": codes("056 001 404 999"),
        "BEN_TOP_CNS": codes("1 0"),
        "MAX_TRT_DTD": day,
        "ORG_CLE_NEW": codes("01C751 09A000"),
        "BEN_DTE_INS": day,
        "BEN_DTE_MAJ": day,
    }
    return delimited(list(columns), made(dice, rows, columns), ",", "\r\n")


# Open Medic: a year of drugs dispensed, by ATC class, product, people and prescriber.

MEDIC_LABELS = (
    "DIABÈTE, MÉDICAMENTS",
    'PRÉPARATION "FORTE"; COMPRIMÉ SÉCABLE',
    "ŒSTROGÈNES – 0,5 mg/24 h",
    "L’ACIDE ACÉTYLSALICYLIQUE ",
    '"ESPÈCES"',
    "PARACÉTAMOL 500 mg (boîte de 16), 1,95 €",
    "Honoraires de dispensation",
)
MEDIC_PEOPLE = {
    "TOP_GEN": codes("0 1 2 R"),
    "GEN_NUM": codes("0 999 1042"),
    "age": codes("99 0 20 60"),
    "sexe": codes("9 1 2"),
    "BEN_REG": codes(f"0 {REGIONS}"),
    "PSP_SPE": codes("99 1 01 37 90"),
    "BOITES": count(1, 9_000, "-3", "1.018.584", "0"),
    "REM": amount(french, "228.579,71", "135,06", "-12,5", "0,00", "1.234.567,80", ",61"),
    "BSE": amount(french, "264.103,02", "150,47", "-19,23", "0", "1.999.999,99", "-,61"),
}
PRODUCTS = "3400932387656 3400949497294 3400930000091 3400936000000 0000000000009"


def medic_columns(labels):
    classes = {"ATC1": "A Z", "ATC2": "A10 Z99", "ATC3": "A10B Z99X", "ATC4": "A10BA Z99XX", "ATC5": "A10BA02 Z99XX99"}
    columns = {}
    for level, texts in classes.items():
        columns[level] = codes(texts)
        if labels:
            columns["l_ATC1" if level == "ATC1" else f"L_{level}"] = among(*MEDIC_LABELS, "")
    columns["CIP13"] = codes(PRODUCTS)
    if labels:
        columns["l_cip13"] = among(*MEDIC_LABELS)
    # An early layout has no labels, and a name in capitals.
    named = {"age": "age" if labels else "AGE"}
    return columns | {named.get(name, name): make for name, make in MEDIC_PEOPLE.items()}


def open_medic(folder, seed, rows):
    for year, labels in ((2014, False), (2025, True)):
        columns = medic_columns(labels)
        made_up = made(random.Random(f"{seed} {year}"), rows, columns)
        text = delimited(list(columns), made_up, ";", "\r\n")
        save(folder / f"OPEN_MEDIC_{year}.CSV", text, "windows-1252")
    columns = {"CIP13": codes(PRODUCTS), "l_cip13": among(*MEDIC_LABELS), "nbc": count(1, 99, "11", "1.018.584")}
    columns |= {name: MEDIC_PEOPLE[name] for name in ("REM", "BSE", "BOITES")}
    made_up = made(random.Random(f"{seed} consumers"), rows, columns)
    text = delimited(list(columns), made_up, ";", "\r\n")
    save(folder / "NB_2025_cip13.CSV.gz", text, "windows-1252")
    save(folder / "delivrances.csv", dispensings(random.Random(f"{seed} dispensings"), rows))


def dispensings(dice, rows):
    """Dispensings as write.csv2 of R writes a table: row names under no name, texts in quotes, NA for NULL.

    Appended to from year to year: rows of before a column came end before it.
    """
    people = pseudonyms(dice, max(rows // 5, 1))
    quoted = lambda text: f'"{text}"'
    columns = {
        "": lambda dice, n: quoted(n + 1),
        "BEN_IDT_ANO": lambda dice, n: quoted(dice.choice(people)),
        "EXE_SOI_DTD": lambda dice, n: a_day(dice, 2025).isoformat(),
        "FLX_DIS_DTD": lambda dice, n: a_day(dice, 2025).replace(day=1).isoformat(),
        "PHA_PRS_C13": codes(PRODUCTS),
        "PHA_ACT_QSN": count(1, 9, "-1", "NA", "0"),
        "PHA_ACT_PRX": among("12,5", "NA", "1,95", "1020", "-,61"),
        "PHA_GRD_CND": among('"GC"', '"non GC"', "NA"),
        "PHA_CLA_CND": among('"A"', "NA", '""', '"B"'),
    }
    # Of four rows in the first half, one lacks a column and one lacks two.
    lacking = lambda n: {1: 1, 2: 2}.get(n % 4, 0) if n < rows // 2 else 0
    made_up = [row[: len(row) - lacking(n)] for n, row in enumerate(made(dice, rows, columns))]
    return unquoted([quoted(name) for name in columns], made_up, ";")


# PMSI: hospital stays, T_MCOaa tables as SAS and R export them.

DIAGNOSES = "E1190 I10 R53+0 C341 Z511 J189 S7200 O800 P0730 F3200 B24+1"
HOSPITALS = {
    "010780062": "CH « LES TROIS VALLÉES » ; SITE NORD",
    "2A0000014": "HÔPITAL DE L'ÎLE",
    "750712184": 'CLINIQUE "ŒIL ET VISION"',
    "970100228": "CHU – PÔLE MÈRE-ENFANT",
}
# What stands where a stay belongs to nobody known.
NOBODY = ("xxxxxxxxxxxxxxxxx", "XXXXXXXXXXXXXXXXD")


def padded(texts, width):
    """Codes with blanks behind them, as columns of a fixed width have them; the empty one is blanks alone."""
    return among(*(text.ljust(width) for text in [*texts.split(), ""]))


PMSI_B = {
    "RSS_NUM": codes("224 225"),
    "SEQ_RUM": codes("01 02"),
    "GRC_VER": codes("11"),
    "GRC_GHM": codes("05M093 28Z07Z 90Z00Z"),
    "GRC_RET": codes("000 012"),
    "GRG_VER": codes("11"),
    "GRG_GHM": padded("05M093 28Z07Z 90Z00Z 14Z13A 01C041", 6),
    "GRG_RET": codes("000 080"),
    "NBR_RUM": codes("001 002 014"),
    "AGE_ANN": among("057", "", ".", "000", "104", "31"),
    "AGE_JOU": among("", "003", ".", "364"),
    "COD_SEX": codes("1 2"),
    "ENT_MOD": codes("8 6 7 0 N"),
    "ENT_PRV": among("5", "", "1", "R"),
    "SOR_MOI": codes("01 07 12"),
    "SOR_ANN": None,
    "SOR_MOD": codes("8 9 6 7"),
    "SOR_DES": among("", "1", "7"),
    "SEJ_TYP": among("", "A", "B"),
    "SEJ_NBJ": among("0000", "", "0012", "0365", "."),
    "BDI_DEP": codes("75 2A 01 97 99"),
    "BDI_COD": codes("75056 2A004 01053 97411 99999"),
    "POI_NAI": among("", "0640", "3250"),
    "AGE_GES": among("", "24", "41"),
    "NBR_SEA": codes("00 01"),
    "DGN_PAL": padded(DIAGNOSES, 6),
    "DGN_REL": padded(DIAGNOSES, 6),
    "COD_IGS": among("", "000", "163"),
    "NBR_DGN": codes("00 03 99"),
    "NBR_ACT": codes("000 005"),
    "GHS_NUM": codes("1234 9605 0000"),
    "EXB_NBJ": codes("0 3"),
    "BEH_NBJ": codes("0 12"),
    "TYP_GEN_RSA": codes("0 1"),
    "PAS_LIT_DED": among("", "1"),
    "UHCD_TOP": codes("0 1"),
    "TOP_GHS_MIN_SUS": codes("0 1"),
}
PMSI_B_2021 = {"NBR_SUP_SSC": codes("000 004"), "INNOV_NUM": among("", "I01")}
RETURN_CODES = "NIR_RET NAI_RET SEX_RET SEJ_RET FHO_RET PMS_RET DAT_RET COH_NAI_RET COH_SEX_RET".split()
PMSI_D = {"RSS_NUM": codes("225"), "DGN_ASS_NUM": count(1, 99, "1"), "ASS_DGN": padded(DIAGNOSES, 6)}
PMSI_A = {
    "RUM_SEQ": codes("01 02"),
    "ENT_DAT_DEL": codes("000 003 120 -01"),
    "CDC_ACT": padded("HHFA001 DZQM006 JVJF004 YYYY600", 13),
    "PHA_ACT": codes("0 1"),
    "ACV_ACT": codes("1 4"),
    "MOD_ACT": padded("J U7", 4),
    "REM_EXP_ACT": among("", "O", "N"),
    "ANP_ACT": among("", "1"),
    "NBR_EXE_ACT": codes("01 12"),
    "CMP_DAT": codes("1 0"),
}
PMSI_A_2021 = {"EXT_PMSI": among("", "01"), "DOC_ACT": among("", "A")}
PMSI_UM = {
    "UM_ORD_NUM": codes("1 2"),
    "RSS_NUM": codes("225"),
    "DGN_PAL": codes(DIAGNOSES),
    "DGN_REL": among("", "Z511"),
    "IGS2_COD": among("", "45"),
    "PAR_DUR_SEJ": count(0, 90, "0", "365"),
    "PAR_NBR_SEJ": among("0.5", "12", "", "3.25"),
    "AUT_TYP1_UM": among("07A", "", "01B"),
    "ETA_NUM_GEO": codes(" ".join(HOSPITALS)),
}


class Stay:
    """A stay: its keys, whose it is, and its days."""

    def __init__(self, dice, n, year, people):
        hospitals = list(HOSPITALS)
        # The same keys in each year, as stays are numbered anew.
        self.keys = [hospitals[n % len(hospitals)], f"{n // len(hospitals) + 1:010}"]
        self.patient = NOBODY[n] if n < len(NOBODY) else dice.choice(people)
        self.begin = a_day(dice, year)
        self.end = self.begin + datetime.timedelta(days=dice.randint(0, 30))


def of_stays(dice, stays, columns):
    """A table of so many rows of these stays: names, and rows."""
    behind = made(dice, len(stays), columns)
    return ["ETA_NUM", "RSA_NUM", *columns], [stay.keys + row for stay, row in zip(stays, behind)]


def chaining(stays, year):
    """The columns of T_MCOaaC behind the keys, in the order of the stays."""
    columns = {
        "SEJ_NUM": lambda dice, n: f"{n + 1:07}",
        "NIR_ANO_17": lambda dice, n: stays[n].patient,
    }
    columns |= {name: lambda dice, n: dice.choice("000001") for name in RETURN_CODES}
    columns |= {
        "RNG_NAI": among("", "1", "2"),
        "EXE_SOI_DTD": lambda dice, n: datetime20(stays[n].begin),
        "EXE_SOI_DTF": lambda dice, n: datetime20(stays[n].end),
        "EXE_SOI_AMD": lambda dice, n: stays[n].begin.strftime("%Y%m"),
        "EXE_SOI_AMF": lambda dice, n: stays[n].end.strftime("%Y%m"),
        "SOR_ANN": among(str(year)),
        "SOR_MOI": lambda dice, n: f"{stays[n].end.month:02}",
    }
    return columns


def mothers(stays):
    return {"ID_MAM_ENF": lambda dice, n: dice.choice(["", stays[n].patient[::-1]])}


def pmsi_year(folder, dice, year, rows, people):
    """Tables B, C, D and A of a year; those of 2021 have columns more."""
    stays = [Stay(dice, n, year, people) for n in range(rows)]
    several = [stay for stay in stays for _ in range(dice.randint(0, 3))]
    late = year == 2021
    tables = {
        "B": (stays, PMSI_B | {"SOR_ANN": among(str(year))} | (PMSI_B_2021 if late else {})),
        "C": (stays, chaining(stays, year) | (mothers(stays) if late else {})),
        "D": (several, PMSI_D),
        "A": (several, PMSI_A | (PMSI_A_2021 if late else {})),
    }
    for table, (whose, columns) in tables.items():
        text = delimited(*of_stays(dice, whose, columns), ";", "\r\n")
        save(folder / f"annee={year}" / f"T_MCO{year % 100}{table}.csv", text, "windows-1252")
    return stays


def pmsi_mco(folder, seed, rows):
    dice = random.Random(f"{seed} PMSI")
    people = pseudonyms(dice, max(rows // 4, 1))
    pmsi_year(folder, dice, 2020, rows, people)
    stays = pmsi_year(folder, dice, 2021, rows, people)
    folder /= "annee=2021"
    save(folder / "T_MCO21UM.csv", delimited(*of_stays(dice, stays, PMSI_UM), ","), "utf-8-sig")
    save(folder / "T_MCO21CSTC.csv", consultations(dice, rows, people))
    names = ["ANN_TRT", "ETA_NUM", "ETB_EXE_FIN", "REG_ETA", "SOC_RAI", "STA_ETA", "VAL_ETA"]
    hospitals = [["2021", eta, eta, "084", label, "", "1"] for eta, label in HOSPITALS.items()]
    hospitals.append(["2021", "690000880", "690000880", "084", "", "01", "1"])
    save(folder / "T_MCO21E.csv", delimited(names, hospitals, ";", "\r\n"), "windows-1252")


def consultations(dice, rows, people):
    """T_MCOaaCSTC as fwrite of R writes it: the midnights of Oracle as instants, in summer and in winter."""
    header = "ETA_NUM SEQ_NUM NIR_ANO_17 NIR_RET NAI_RET SEX_RET IAS_RET ENT_DAT_RET ENT_DAT EXE_SOI_DTD EXE_SOI_DTF"
    header += " EXE_SOI_AMD RAC_MNT_PAT"
    made_up = []
    for n in range(rows):
        day = (datetime.date(2021, 3, 28), datetime.date(2021, 10, 31))[n] if n < 2 else a_day(dice, 2021)
        returns = [dice.choice("00001") for _ in range(5)]
        days = [day.strftime("%d%m%Y"), instant(day), dice.choice([instant(day), ""]), day.strftime("%Y%m")]
        patient = NOBODY[n] if n < len(NOBODY) else dice.choice(people)
        money = dice.choice(["", "0", "12.5", "-25"])
        made_up.append([dice.choice(list(HOSPITALS)), f"{n + 1:010}", patient, *returns, *days, money])
    return delimited(header.split(), made_up, ",")


# Athena: the vocabularies of OMOP, tabs between fields and no quotes around them.

CONCEPT_NAMES = (
    "No matching concept",
    'Kersey"s Landing',
    'Enrolment ended "by insurer"',
    '"Old" visit',
    '"',
    "NULL",
    "NA",
    "Ménière's disease, left ear",
    "β-blocker 5 µg/mL \\ oral",
    " leading and trailing ",
    "x" * 255,
)
STARTS, ENDS = codes("19700101 20020131 19000101"), codes("20991231 20150131 20240229")
INVALID = among("", "D", "U")
CONCEPT = {
    "concept_id": lambda dice, n: str(2_000_000_000 + n if n else 0),
    "concept_name": among(*CONCEPT_NAMES),
    "domain_id": among("Condition", "Drug", "Type Concept", "Metadata"),
    "vocabulary_id": among("None", "SNOMED", "RxNorm Extension", "CIM10"),
    "concept_class_id": among("Undefined", "Clinical Finding", "7-char billing code"),
    "standard_concept": among("", "S", "C"),
    "concept_code": among("0", "00023", "1E10", "E11.9", "2021-01-01", "TRUE", "OMOP4822057", "12 345"),
    "valid_start_date": STARTS,
    "valid_end_date": ENDS,
    "invalid_reason": INVALID,
}
IDS = count(1, 2_147_483_647, "0", "2147483647", "4180186")
ATHENA = {
    "CONCEPT": CONCEPT,
    "CONCEPT_RELATIONSHIP": {
        "concept_id_1": IDS,
        "concept_id_2": IDS,
        "relationship_id": among("Maps to", "Mapped from", "Is a", "RxNorm - ATC pr lat"),
        "valid_start_date": STARTS,
        "valid_end_date": ENDS,
        "invalid_reason": INVALID,
    },
    "CONCEPT_ANCESTOR": {
        "ancestor_concept_id": IDS,
        "descendant_concept_id": IDS,
        "min_levels_of_separation": count(0, 20),
        "max_levels_of_separation": count(0, 20),
    },
    "CONCEPT_SYNONYM": {
        "concept_id": IDS,
        "concept_synonym_name": among(*CONCEPT_NAMES, "maladie de Ménière; vertige", "メニエール病"),
        "language_concept_id": codes("4180186 4180190"),
    },
    "VOCABULARY": {
        "vocabulary_id": lambda dice, n: f"V{n}",
        "vocabulary_name": among("OMOP Standardized", 'Codes of "Example", inc.', "Classification française"),
        "vocabulary_reference": among("OMOP generated", "https://example.org/a?b=c&d=%20"),
        "vocabulary_version": among("v5.0 29-FEB-24", "", "2024-03-01 SNOMED CT"),
        "vocabulary_concept_id": IDS,
    },
    "DRUG_STRENGTH": {
        "drug_concept_id": IDS,
        "ingredient_concept_id": IDS,
        "amount_value": among("500", "", "0.1", "0.0000025", "1E-5", "123456789.123"),
        "amount_unit_concept_id": among("8576", ""),
        "numerator_value": among("", "0.3", "1000000", ".5"),
        "numerator_unit_concept_id": among("", "8576"),
        "denominator_value": among("", "1", "0.7"),
        "denominator_unit_concept_id": among("", "8587"),
        "box_size": among("", "28"),
        "valid_start_date": STARTS,
        "valid_end_date": ENDS,
        "invalid_reason": INVALID,
    },
}
# As pandas writes whole numbers with gaps, and midnight behind a day.
PERSON = {
    "person_id": lambda dice, n: str(n + 1),
    "gender_concept_id": codes("8507 8532 0"),
    "year_of_birth": count(1905, 2020),
    "month_of_birth": among("12.0", "", "1.0"),
    "day_of_birth": among("", "31.0", "1.0"),
    "birth_datetime": among("1954-12-31 00:00:00", "", "1987-02-28 23:59:59.5"),
    "race_concept_id": codes("0"),
    "ethnicity_concept_id": codes("0"),
    "location_id": among("7.0", ""),
    "provider_id": among("", "2147483648.0"),
    "care_site_id": among("12.0", ""),
    "person_source_value": lambda dice, n: "".join(dice.choices(ALPHABET, k=17)),
    "gender_source_value": among("F", "M", ""),
}


def athena(folder, seed, rows):
    for name, columns in ATHENA.items():
        made_up = made(random.Random(f"{seed} {name}"), rows, columns)
        save(folder / f"{name}.csv", unquoted(list(columns), made_up, "\t"))
    made_up = made(random.Random(f"{seed} person"), rows, PERSON)
    save(folder / "person.csv", delimited(list(PERSON), made_up, "\t"))


def make(folder, seed, rows):
    for write in (open_damir, ir_ben_r, open_medic, pmsi_mco, athena):
        write(folder / write.__name__, seed, rows)


if __name__ == "__main__":
    make(pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
