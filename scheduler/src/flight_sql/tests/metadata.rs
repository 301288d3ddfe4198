//! Metadata, against the Arrow crate's own builders and the specification's schemas.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use arrow_flight::{
    FlightDescriptor, IpcMessage,
    sql::{
        CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
        CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
        CommandGetXdbcTypeInfo, ProstMessageExt, SqlInfo, XdbcDataType,
        metadata::{SqlInfoDataBuilder, XdbcTypeInfoDataBuilder},
    },
};
use prost::Message;

use super::{super::answer, Client, House, fetch, query_service::people};

async fn ask(client: &mut Client, command: impl ProstMessageExt) -> RecordBatch {
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let alone = client
        .inner_mut()
        .get_schema(descriptor.clone())
        .await
        .unwrap()
        .into_inner();
    let info = client
        .inner_mut()
        .get_flight_info(descriptor)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(alone.schema, info.schema);
    fetch(client, info).await
}

fn column(batch: &RecordBatch, name: &str) -> Vec<String> {
    let texts = batch.column_by_name(name).unwrap().as_string::<i32>();
    texts.iter().map(|text| text.unwrap().to_owned()).collect()
}

#[tokio::test]
async fn catalogs_and_schemas_are_those_one_may_see() {
    let house = House::open().await;
    let (mut alice, mut bob) = (house.user("alice").await, house.user("bob").await);
    let catalogs = ask(&mut alice, CommandGetCatalogs {}).await;
    assert_eq!(catalogs.schema(), CommandGetCatalogs {}.into_builder().schema());
    assert_eq!(column(&catalogs, "catalog_name"), ["parcours"]);

    let all = CommandGetDbSchemas::default();
    let schemas = ask(&mut alice, all.clone()).await;
    assert_eq!(schemas.schema(), all.clone().into_builder().schema());
    assert_eq!(column(&schemas, "db_schema_name"), ["omop", "snds"]);
    assert_eq!(column(&ask(&mut bob, all).await, "db_schema_name"), ["snds"]);

    let filtered = async |client: &mut Client, catalog: Option<&str>, pattern: Option<&str>| {
        let command = CommandGetDbSchemas {
            catalog: catalog.map(Into::into),
            db_schema_filter_pattern: pattern.map(Into::into),
        };
        column(&ask(client, command).await, "db_schema_name")
    };
    assert_eq!(filtered(&mut alice, Some("parcours"), Some("o%")).await, ["omop"]);
    assert_eq!(filtered(&mut alice, None, Some("_nds")).await, ["snds"]);
    assert_eq!(filtered(&mut bob, None, Some("omop")).await, [""; 0]);
    assert_eq!(filtered(&mut alice, Some(""), None).await, [""; 0]);
    assert_eq!(filtered(&mut alice, Some("other"), None).await, [""; 0]);
}

#[tokio::test]
async fn tables_are_filtered_by_pattern_and_type() {
    let house = House::open().await;
    let (mut alice, mut bob) = (house.user("alice").await, house.user("bob").await);
    let all = ask(&mut alice, CommandGetTables::default()).await;
    assert_eq!(all.schema(), CommandGetTables::default().into_builder().schema());
    assert_eq!(column(&all, "table_name"), ["person", "personnes", "sejours"]);
    assert_eq!(column(&all, "db_schema_name"), ["omop", "snds", "snds"]);
    assert_eq!(
        column(&ask(&mut bob, CommandGetTables::default()).await, "table_name"),
        ["personnes", "sejours"]
    );
    let cases = [
        (
            CommandGetTables {
                table_name_filter_pattern: Some("person%".into()),
                ..Default::default()
            },
            2,
        ),
        (
            CommandGetTables {
                table_name_filter_pattern: Some("perso_".into()),
                ..Default::default()
            },
            1,
        ),
        (
            CommandGetTables {
                table_name_filter_pattern: Some("per\\_on".into()),
                ..Default::default()
            },
            0,
        ),
        (
            CommandGetTables {
                db_schema_filter_pattern: Some("snds".into()),
                ..Default::default()
            },
            2,
        ),
        (
            CommandGetTables {
                db_schema_filter_pattern: Some("".into()),
                ..Default::default()
            },
            0,
        ),
        (
            CommandGetTables {
                catalog: Some("parcours".into()),
                ..Default::default()
            },
            3,
        ),
        (
            CommandGetTables {
                catalog: Some("".into()),
                ..Default::default()
            },
            0,
        ),
        (
            CommandGetTables {
                table_types: vec!["TABLE".into(), "VIEW".into()],
                ..Default::default()
            },
            3,
        ),
        (
            CommandGetTables {
                table_types: vec!["VIEW".into()],
                ..Default::default()
            },
            0,
        ),
    ];
    for (command, expected) in cases {
        assert_eq!(
            ask(&mut alice, command.clone()).await.num_rows(),
            expected,
            "{command:?}"
        );
    }
}

#[tokio::test]
async fn tables_come_with_their_columns() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let command = CommandGetTables {
        include_schema: true,
        ..Default::default()
    };
    let tables = ask(&mut client, command.clone()).await;
    assert_eq!(tables.schema(), command.into_builder().schema());
    let schemas = tables.column_by_name("table_schema").unwrap().as_binary::<i32>();
    for (row, bytes) in schemas.iter().enumerate() {
        let columns: Schema = IpcMessage(bytes.unwrap().to_vec().into()).try_into().unwrap();
        let bare = columns
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_metadata(Default::default()));
        assert_eq!(Schema::new(bare.collect::<Vec<Field>>()), *people().schema());
        let said = |key: &str| columns.field(2).metadata()[&format!("ARROW:FLIGHT:SQL:{key}")].clone();
        assert_eq!((said("TYPE_NAME").as_str(), said("PRECISION").as_str()), ("DATE", "10"));
        assert_eq!(said("TABLE_NAME"), column(&tables, "table_name")[row]);
    }
}

#[tokio::test]
async fn table_types_sql_info_and_types_follow_their_builders() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let types = ask(&mut client, CommandGetTableTypes {}).await;
    assert_eq!(types.schema(), CommandGetTableTypes {}.into_builder().schema());
    assert_eq!(column(&types, "table_type"), ["TABLE", "VIEW"]);

    let all = ask(&mut client, CommandGetSqlInfo::default()).await;
    assert_eq!(*all.schema(), *SqlInfoDataBuilder::schema());
    assert!(all.num_rows() > 80);
    let info = vec![
        SqlInfo::FlightSqlServerReadOnly as u32,
        SqlInfo::FlightSqlServerName as u32,
        9999,
    ];
    let two = ask(&mut client, CommandGetSqlInfo { info }).await;
    let values = two
        .column(1)
        .as_any()
        .downcast_ref::<arrow::array::UnionArray>()
        .unwrap();
    assert_eq!(two.num_rows(), 2);
    assert_eq!(values.value(0).as_string::<i32>().value(0), "Parcours");
    assert!(values.value(1).as_boolean().value(0));

    let all = ask(&mut client, CommandGetXdbcTypeInfo { data_type: None }).await;
    assert_eq!(all.schema(), XdbcTypeInfoDataBuilder::new().schema());
    let one = CommandGetXdbcTypeInfo {
        data_type: Some(XdbcDataType::XdbcDate as i32),
    };
    assert_eq!(column(&ask(&mut client, one).await, "type_name"), ["DATE"]);
}

#[tokio::test]
async fn keys_are_empty_under_the_schemas_of_the_specification() {
    let house = House::open().await;
    let mut client = house.user("alice").await;
    let fields = |fields: &[(&str, DataType, bool)]| {
        Schema::new(
            fields
                .iter()
                .map(|(name, of, nullable)| Field::new(*name, of.clone(), *nullable))
                .collect::<Vec<_>>(),
        )
    };
    let text = |name, nullable| (name, DataType::Utf8, nullable);
    let primary = ask(
        &mut client,
        CommandGetPrimaryKeys {
            table: "personnes".into(),
            ..Default::default()
        },
    )
    .await;
    let expected = fields(&[
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        ("key_sequence", DataType::Int32, false),
    ]);
    assert_eq!((primary.schema().as_ref(), primary.num_rows()), (&expected, 0));
    let expected = fields(&[
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        ("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        ("update_rule", DataType::UInt8, false),
        ("delete_rule", DataType::UInt8, false),
    ]);
    for foreign in [
        ask(
            &mut client,
            CommandGetExportedKeys {
                table: "personnes".into(),
                ..Default::default()
            },
        )
        .await,
        ask(
            &mut client,
            CommandGetImportedKeys {
                table: "personnes".into(),
                ..Default::default()
            },
        )
        .await,
        ask(
            &mut client,
            CommandGetCrossReference {
                pk_table: "a".into(),
                fk_table: "b".into(),
                ..Default::default()
            },
        )
        .await,
    ] {
        assert_eq!((foreign.schema().as_ref(), foreign.num_rows()), (&expected, 0));
    }
}

/// 20 MB of column descriptions, with one table much wider than the others.
#[tokio::test]
async fn a_large_catalog_travels_in_small_messages() {
    use futures::TryStreamExt;

    let schema = |columns: usize| {
        Schema::new(
            (0..columns)
                .map(|i| Field::new(format!("colonne_{i}"), DataType::Utf8, true))
                .collect::<Vec<_>>(),
        )
    };
    let tables = (0..500).map(|i| (format!("table_{i}"), schema(if i == 0 { 1000 } else { 100 })));
    let tables = tables.map(|(name, columns)| crate::port::VisibleTable {
        name,
        schema: columns.into(),
        kind: "TABLE",
    });
    let visible = crate::port::VisibleCatalog {
        name: "parcours".into(),
        schemas: vec![crate::port::VisibleSchema {
            name: "snds".into(),
            tables: tables.collect(),
        }],
    };
    let command = CommandGetTables {
        include_schema: true,
        ..Default::default()
    };
    let batch = super::super::catalog::tables(command, &visible).unwrap();
    let messages = answer::batch(batch).try_collect::<Vec<_>>().await.unwrap();
    let sizes = messages.iter().map(|message| message.encoded_len()).collect::<Vec<_>>();
    assert!(sizes.iter().sum::<usize>() > 16 << 20, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size < 4 << 20), "{sizes:?}");
}
