//! The node's plain health port: whether it lives, whether it is ready, and what its metrics say.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::finding::Finding;

const CHECK: &str = "health port";
const LIMIT: Duration = Duration::from_secs(3);

/// What the port answered.
#[derive(Debug, Default)]
pub struct Health {
    alive: bool,
    ready: bool,
    metrics: String,
}

impl Health {
    /// Asks the port. What does not answer within seconds is not alive.
    pub fn ask(address: SocketAddr) -> Self {
        let says = |path| get(address, path).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
        Self {
            alive: says("/livez"),
            ready: says("/readyz"),
            metrics: get(address, "/metrics").unwrap_or_default(),
        }
    }

    /// A metric by its whole name.
    pub fn metric(&self, name: &str) -> Option<u64> {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
        self.metrics.lines().find_map(value)
    }

    /// Judges what was answered.
    pub fn judge(&self, address: SocketAddr) -> Finding {
        match (self.alive, self.ready) {
            (true, true) => Finding::ok(CHECK, format!("{address}: alive and ready")),
            (true, false) => Finding::warning(
                CHECK,
                format!("{address}: alive, but not ready"),
                "see that scheduler and executors reach each other",
            ),
            (false, _) => Finding::problem(CHECK, format!("{address} does not answer"), "see the node's log"),
        }
    }
}

fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    // Bounded: what answers there may be something else.
    stream.take(4 << 20).read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_metric_is_read_by_its_whole_name() {
        let health = Health {
            metrics: "# HELP a_b help\na_b_c 3\na_b 7\n".to_owned(),
            ..Health::default()
        };
        assert_eq!(
            (health.metric("a_b"), health.metric("a_b_c"), health.metric("a")),
            (Some(7), Some(3), None)
        );
    }

    #[test]
    fn silence_is_a_problem_and_not_being_ready_a_warning() {
        let level = |alive, ready| {
            let health = Health {
                alive,
                ready,
                ..Health::default()
            };
            health.judge(([127, 0, 0, 1], 1).into()).level
        };
        assert_eq!(
            (level(true, true), level(true, false), level(false, false)),
            (Level::Ok, Level::Warning, Level::Problem)
        );
    }
}
