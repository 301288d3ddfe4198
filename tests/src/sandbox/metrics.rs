//! What the processes of a sandbox say of themselves on their plain health ports.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use super::Sandbox;

impl Sandbox {
    /// The scheduler's metrics as Prometheus reads them.
    pub fn metrics(&self) -> Result<String> {
        get(self.ports.health, "/metrics")
    }

    /// The metrics of executor `number`.
    pub fn executor_metrics(&self, number: usize) -> Result<String> {
        get(
            self.executors.get(number).context("no such executor")?.health,
            "/metrics",
        )
    }

    /// A metric of the scheduler, by its name without `parcours_scheduler_`.
    pub fn gauge(&self, name: &str) -> Result<u64> {
        value_of(&self.metrics()?, &format!("parcours_scheduler_{name}"))
    }

    /// The sum of a metric over running executors, by its name without `parcours_executor_`.
    pub fn executor_gauge(&self, name: &str) -> Result<u64> {
        let running = (0..self.executors.len()).filter(|number| self.executors[*number].process.is_some());
        running
            .map(|number| value_of(&self.executor_metrics(number)?, &format!("parcours_executor_{name}")))
            .sum()
    }
}

fn value_of(metrics: &str, name: &str) -> Result<u64> {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.with_context(|| format!("there is no metric {name}"))?
        .trim()
        .parse()
        .context("a metric is not a whole number")
}

/// A plain HTTP GET: status line, headers and body.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
