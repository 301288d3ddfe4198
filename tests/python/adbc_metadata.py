"""What a client learns of a server before any query, through the ADBC Flight SQL driver.

    adbc_metadata.py CONNECT DATASET DATA

Compares catalogs, schemas, tables and columns with what DuckDB says of the original files (see oracle.py), and checks
the calls that tools make at connect time. Prints one line for each check that passed; the first that fails ends it.
"""

import sys

import pyarrow as pa

import oracle
from adbc_queries import connect


def family(data_type):
    """The kind of a type, whatever its width or encoding."""
    kinds = [
        (pa.types.is_dictionary, lambda t: family(t.value_type)),
        (pa.types.is_integer, lambda t: "integer"),
        (pa.types.is_floating, lambda t: "float"),
        (pa.types.is_decimal, lambda t: f"decimal({t.scale})"),
        (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t), lambda t: "text"),
        (pa.types.is_date, lambda t: "date"),
        (pa.types.is_timestamp, lambda t: "timestamp"),
        (pa.types.is_boolean, lambda t: "boolean"),
    ]
    return next(name(data_type) for matches, name in kinds if matches(data_type))


def columns(schema):
    return [(field.name, family(field.type)) for field in schema]


def expected_tables(duck, dataset):
    names = duck.sql(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{dataset}'").fetchall()
    return {name: duck.sql(f"SELECT * FROM {dataset}.{name} LIMIT 0").to_arrow_table().schema for (name,) in names}


def schemas_of(objects, dataset):
    found = [schema for catalog in objects for schema in catalog["catalog_db_schemas"]]
    return [schema for schema in found if schema["db_schema_name"] == dataset]


def check_objects(connection, dataset, expected):
    shallow = connection.adbc_get_objects(depth="db_schemas").read_all().to_pylist()
    assert len(schemas_of(shallow, dataset)) == 1, shallow
    deep = connection.adbc_get_objects(depth="all", db_schema_filter=dataset).read_all().to_pylist()
    [schema] = schemas_of(deep, dataset)
    tables = {table["table_name"]: table for table in schema["db_schema_tables"]}
    assert set(tables) == set(expected), set(tables) ^ set(expected)
    for name, table in tables.items():
        listed = [column["column_name"] for column in table["table_columns"]]
        assert listed == expected[name].names, name
        assert [column["ordinal_position"] for column in table["table_columns"]] == list(range(1, len(listed) + 1))
    one = next(iter(expected))
    filtered = connection.adbc_get_objects(depth="tables", db_schema_filter=dataset, table_name_filter=one)
    [schema] = schemas_of(filtered.read_all().to_pylist(), dataset)
    assert [table["table_name"] for table in schema["db_schema_tables"]] == [one]
    print("objects", len(tables))


def check_table_schemas(connection, dataset, expected):
    for name, schema in expected.items():
        answered = connection.adbc_get_table_schema(name, db_schema_filter=dataset)
        assert columns(answered) == columns(schema), name
    print("table schemas", len(expected))


def check_statements(connection, dataset, expected):
    with connection.cursor() as cursor:
        for name, schema in expected.items():
            answered = cursor.adbc_execute_schema(f"SELECT * FROM {dataset}.{name}")
            assert columns(answered) == columns(schema), name
        cursor.adbc_prepare("SELECT 1 AS one")
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchall() == [(1,)]
    print("statement schemas", len(expected))


def check_parameters(connection):
    for marker in ("?", "$1"):
        with connection.cursor() as cursor:
            parameters = cursor.adbc_prepare(f"SELECT CAST({marker} AS BIGINT) + 1 AS next")
            assert parameters is None or len(parameters) == 1, parameters
            cursor.execute(f"SELECT CAST({marker} AS BIGINT) + 1 AS next", (41,))
            assert cursor.fetchall() == [(42,)], marker
    print("parameters")


def check_info(connection):
    info = connection.adbc_get_info()
    assert info.get("vendor_name"), info
    assert info.get("vendor_version"), info
    assert "TABLE" in connection.adbc_get_table_types()
    print("info", info["vendor_name"], info["vendor_version"])


def main(connect_file, dataset, data):
    expected = expected_tables(oracle.connect(dataset, data), dataset)
    with connect(connect_file) as connection:
        check_info(connection)
        check_objects(connection, dataset, expected)
        check_table_schemas(connection, dataset, expected)
        check_statements(connection, dataset, expected)
        check_parameters(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
