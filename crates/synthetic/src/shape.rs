//! The shape of the generated tables: names, types, sensitivity and order, as the dataset file and the writer both
//! need them. Names are those a statistician of the SNDS writes every day, in lower case.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// The column of every patient table that holds the pseudonym.
pub const PATIENT_ID: &str = "ben_idt_ano";

/// How sensitive a column is; each class is encrypted under a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The pseudonym and whatever identifies a person directly.
    Identity,
    /// Potential identifiers: dates of care, birth, death, place of residence below the département.
    Quasi,
    /// Diagnoses, acts, drugs.
    Health,
    /// Everything else.
    Plain,
}

impl Class {
    /// Its name in a dataset file.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Identity => "identity",
            Class::Quasi => "quasi",
            Class::Health => "health",
            Class::Plain => "plain",
        }
    }
}

/// One column of a generated table.
#[derive(Clone, Debug)]
pub struct ColumnShape {
    /// Its name.
    pub name: &'static str,
    /// Its Arrow type, which is also what a reader of the Parquet files sees.
    pub data_type: DataType,
    /// Whether some rows have no value.
    pub nullable: bool,
    /// Its sensitivity.
    pub class: Class,
}

/// One generated table.
#[derive(Clone, Debug)]
pub struct TableShape {
    /// Its name.
    pub name: &'static str,
    /// Its columns in order.
    pub columns: &'static [ColumnShape],
    /// Columns by which rows are sorted inside a shard, the pseudonym first.
    pub order: &'static [&'static str],
    /// Whether it is divided by patient; the others are small reference tables.
    pub sharded: bool,
}

impl TableShape {
    /// The Arrow schema of its source files.
    pub fn schema(&self) -> SchemaRef {
        let field = |column: &ColumnShape| Field::new(column.name, column.data_type.clone(), column.nullable);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }
}

/// Every generated table, patient tables first.
pub fn tables() -> &'static [TableShape] {
    &TABLES
}

const fn required(name: &'static str, data_type: DataType, class: Class) -> ColumnShape {
    ColumnShape {
        name,
        data_type,
        nullable: false,
        class,
    }
}

const fn optional(name: &'static str, data_type: DataType, class: Class) -> ColumnShape {
    ColumnShape {
        name,
        data_type,
        nullable: true,
        class,
    }
}

const PATIENT: ColumnShape = required(PATIENT_ID, DataType::Utf8, Class::Identity);
const CARE_DATE: ColumnShape = required("exe_soi_dtd", DataType::Date32, Class::Quasi);
const HOSPITAL: ColumnShape = required("eta_num", DataType::Utf8, Class::Plain);
const STAY_NUMBER: ColumnShape = required("rsa_num", DataType::Int64, Class::Plain);

pub(crate) static TABLES: [TableShape; 10] = [
    TableShape {
        name: "beneficiaire",
        columns: &[
            PATIENT,
            required("ben_sex_cod", DataType::Int32, Class::Plain),
            required("ben_nai_ann", DataType::Int32, Class::Quasi),
            optional("ben_nai_moi", DataType::Int32, Class::Quasi),
            required("ben_res_dpt", DataType::Utf8, Class::Plain),
            optional("ben_res_com", DataType::Utf8, Class::Quasi),
            optional("ben_dcd_dte", DataType::Date32, Class::Quasi),
        ],
        order: &[PATIENT_ID],
        sharded: true,
    },
    TableShape {
        name: "prestation",
        columns: &[
            PATIENT,
            CARE_DATE,
            required("flx_dis_dtd", DataType::Date32, Class::Plain),
            required("prs_nat_ref", DataType::Int32, Class::Health),
            optional("pse_spe_cod", DataType::Int32, Class::Plain),
            required("prs_act_qte", DataType::Int32, Class::Plain),
            required("bse_rem_mnt", DataType::Decimal128(10, 2), Class::Plain),
            required("dpn_qlf", DataType::Int32, Class::Plain),
        ],
        order: &[PATIENT_ID, "exe_soi_dtd", "prs_nat_ref"],
        sharded: true,
    },
    TableShape {
        name: "pharmacie",
        columns: &[
            PATIENT,
            CARE_DATE,
            required("pha_prs_c13", DataType::Utf8, Class::Health),
            optional("atc", DataType::Utf8, Class::Health),
            required("pha_act_qsn", DataType::Int32, Class::Plain),
            required("large_pack", DataType::Boolean, Class::Plain),
        ],
        order: &[PATIENT_ID, "exe_soi_dtd", "pha_prs_c13"],
        sharded: true,
    },
    TableShape {
        name: "acte_ccam",
        columns: &[
            PATIENT,
            CARE_DATE,
            required("cam_prs_ide", DataType::Utf8, Class::Health),
        ],
        order: &[PATIENT_ID, "exe_soi_dtd", "cam_prs_ide"],
        sharded: true,
    },
    TableShape {
        name: "sejour_mco",
        columns: &[
            PATIENT,
            HOSPITAL,
            STAY_NUMBER,
            CARE_DATE,
            required("exe_soi_dtf", DataType::Date32, Class::Quasi),
            required("dgn_pal", DataType::Utf8, Class::Health),
            optional("dgn_rel", DataType::Utf8, Class::Health),
            required("grg_ghm", DataType::Utf8, Class::Health),
            required("ent_mod", DataType::Utf8, Class::Plain),
            required("sor_mod", DataType::Utf8, Class::Plain),
            required("sej_nbj", DataType::Int32, Class::Plain),
            required("nir_ret", DataType::Utf8, Class::Plain),
            required("nai_ret", DataType::Utf8, Class::Plain),
            required("sex_ret", DataType::Utf8, Class::Plain),
            required("sej_ret", DataType::Utf8, Class::Plain),
            required("dat_ret", DataType::Utf8, Class::Plain),
        ],
        order: &[PATIENT_ID, "exe_soi_dtd", "eta_num", "rsa_num"],
        sharded: true,
    },
    TableShape {
        name: "diag_associe",
        columns: &[
            PATIENT,
            HOSPITAL,
            STAY_NUMBER,
            required("ass_dgn", DataType::Utf8, Class::Health),
        ],
        order: &[PATIENT_ID, "eta_num", "rsa_num", "ass_dgn"],
        sharded: true,
    },
    TableShape {
        name: "acte_mco",
        columns: &[
            PATIENT,
            HOSPITAL,
            STAY_NUMBER,
            required("cdc_act", DataType::Utf8, Class::Health),
        ],
        order: &[PATIENT_ID, "eta_num", "rsa_num", "cdc_act"],
        sharded: true,
    },
    TableShape {
        name: "ald",
        columns: &[
            PATIENT,
            required("imb_ald_dtd", DataType::Date32, Class::Plain),
            optional("imb_ald_dtf", DataType::Date32, Class::Plain),
            required("imb_etm_nat", DataType::Int32, Class::Plain),
            required("med_mtf_cod", DataType::Utf8, Class::Health),
        ],
        order: &[PATIENT_ID, "imb_ald_dtd"],
        sharded: true,
    },
    TableShape {
        name: "deces",
        columns: &[
            PATIENT,
            required("ben_dcd_dte", DataType::Date32, Class::Quasi),
            optional("dcd_cim_cod", DataType::Utf8, Class::Health),
        ],
        order: &[PATIENT_ID, "ben_dcd_dte"],
        sharded: true,
    },
    TableShape {
        name: "ir_pha_r",
        columns: &[
            required("pha_cip_c13", DataType::Utf8, Class::Plain),
            required("pha_atc_c07", DataType::Utf8, Class::Plain),
            required("pha_atc_lib", DataType::Utf8, Class::Plain),
        ],
        order: &["pha_cip_c13"],
        sharded: false,
    },
];

#[cfg(test)]
mod tests {
    use super::{Class, PATIENT_ID, tables};

    #[test]
    fn every_patient_table_starts_with_the_pseudonym_and_no_other_has_it() {
        for table in tables() {
            let first = &table.columns[0];
            assert_eq!(
                table.sharded,
                first.name == PATIENT_ID && first.class == Class::Identity,
                "{}",
                table.name
            );
            assert!(!table.sharded || table.order[0] == PATIENT_ID, "{}", table.name);
            let names = table.schema();
            assert!(
                table.order.iter().all(|column| names.index_of(column).is_ok()),
                "{}",
                table.name
            );
        }
    }
}
