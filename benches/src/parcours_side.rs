//! Parcours' side: statements over mTLS with the client library, timed from asking to the last batch.

use std::time::Instant;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use parcours::{Connection, Profile};

use crate::cluster::Connect;
use crate::measure::{Answer, Rows};

/// A connection to the cluster.
pub struct Parcours {
    connection: Connection,
}

impl Parcours {
    /// Connects with the certificate that `connect.json` names.
    pub async fn connect(connect: &Connect) -> anyhow::Result<Self> {
        let profile = Profile {
            uri: connect.uri.clone(),
            ca: connect.ca.clone(),
            cert: connect.cert.clone(),
            key: connect.key.clone(),
            trust_domain: Profile::trust_domain_of(&connect.cert)?,
            crl: None,
        };
        let connection = Connection::open(&profile)
            .await
            .context("cannot connect to the cluster")?;
        Ok(Self { connection })
    }

    /// Runs a statement to its last row.
    pub async fn run(&self, sql: &str) -> anyhow::Result<Answer> {
        let started = Instant::now();
        let batches: Vec<RecordBatch> = self.connection.query(sql).await?.try_collect().await?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(Answer {
            seconds,
            rows: rows(&batches)?,
        })
    }
}

/// Every cell as text or NULL.
pub fn rows(batches: &[RecordBatch]) -> anyhow::Result<Rows> {
    let options = FormatOptions::default();
    let mut rows = Rows::new();
    for batch in batches {
        let columns: Result<Vec<_>, _> = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c, &options))
            .collect();
        let columns = columns.context("cannot show a column")?;
        for row in 0..batch.num_rows() {
            let cell = |index: usize| {
                batch
                    .column(index)
                    .is_valid(row)
                    .then(|| columns[index].value(row).to_string())
            };
            rows.push((0..columns.len()).map(cell).collect());
        }
    }
    Ok(rows)
}
