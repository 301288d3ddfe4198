"""Spark's side of the benches: one process over its own encrypted copy of the plain Parquet files.

    spark_side.py THREADS FOLDER TABLE...

It speaks as duckdb_side.py does. Before its first line it writes every table once with Parquet's modular encryption
(parquet-java's key tools, AES_GCM_V1, every column and the footer under a key) to `spark` beside FOLDER, unless that copy
is there and newer than what it was made from. A statement that Spark writes otherwise is replaced by the file
NAME.spark.sql beside the query. Needs a JDK.
"""

import base64
import json
import pathlib
import secrets
import subprocess
import sys
import time

sys.path.pop(0)  # this folder, or PySpark would take profile.py in it for Python's own

import pyspark
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

HERE = pathlib.Path(__file__).resolve().parent
QUERIES = HERE.parent / "crates/synthetic/src/queries"
FACTORY = "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory"
MASTER_KEYS = ("footer", "columns")


def session(threads, folder):
    """Spark in this process, with the keys of `folder` in its configuration."""
    settings = {
        "spark.master": f"local[{threads}]",
        "spark.driver.memory": "6g",
        "spark.driver.host": "localhost",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": str(compiled(folder)),
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.shuffle.partitions": str(2 * threads),
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.hadoop.parquet.crypto.factory.class": FACTORY,
        "spark.hadoop.parquet.encryption.kms.client.class": "BenchKeys",
    }
    for name, key in keys(folder).items():
        settings[f"spark.hadoop.parcours.bench.key.{name}"] = key
    return SparkSession.builder.config(map=settings).getOrCreate()


def compiled(folder):
    """The folder of our key service as a class, made by the JDK that runs Spark."""
    classes = folder / "classes"
    jars = pathlib.Path(pyspark.__file__).parent / "jars/*"
    command = ["javac", "-cp", str(jars), "-d", str(classes), str(HERE / "spark/BenchKeys.java")]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return classes


def keys(folder):
    """Master keys in Base64 by name, made at random with the copy and kept beside it."""
    file = folder / "keys.json"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(json.dumps({name: base64.b64encode(secrets.token_bytes(16)).decode() for name in MASTER_KEYS}))
    return json.loads(file.read_text())


def encrypted(spark, source, target):
    """A table's encrypted copy, written now if there is none of these files."""
    done = target / "_SUCCESS"
    newest = max(file.stat().st_mtime for file in source.glob("*.parquet"))
    if not done.exists() or done.stat().st_mtime < newest:
        frame = spark.read.parquet(str(source))
        options = {
            "compression": "lz4_raw",
            "parquet.encryption.footer.key": "footer",
            "parquet.encryption.column.keys": "columns:" + ",".join(frame.columns),
        }
        frame.write.mode("overwrite").options(**options).parquet(str(target))
    for file in target.glob("*.parquet"):
        with file.open("rb") as opened:
            if opened.read(4) != b"PARE":
                sys.exit(f"{file} is not encrypted")
    return spark.read.parquet(str(target))


def dialect():
    """Spark's own statement of each query that has one."""
    plain = lambda file: file.with_name(file.name.replace(".spark.", "."))
    return {plain(file).read_text(): file.read_text() for file in QUERIES.glob("*.spark.sql")}


def answer(spark, statement):
    started = time.perf_counter()
    rows = spark.sql(statement).collect()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "rows": [[None if cell is None else str(cell) for cell in row] for row in rows]}


def main(threads, source, tables):
    source = pathlib.Path(source)
    folder = source.resolve().with_name("spark")
    spark = session(int(threads), folder)
    for table in tables:
        encrypted(spark, source / table, folder / table).createOrReplaceTempView(table)
    variants = dialect()
    print(json.dumps({"version": pyspark.__version__}), flush=True)
    for line in sys.stdin:
        statement = json.loads(line)
        try:
            result = answer(spark, variants.get(statement, statement))
        except PySparkException as error:
            result = {"error": str(error)}
        print(json.dumps(result), flush=True)


main(sys.argv[1], sys.argv[2], sys.argv[3:])
