//! How a process learns that it should stop: SIGTERM, SIGINT, or the end of its standard input when a parent that must
//! not leave it behind holds the other end.

use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// Completes when the process is asked to stop. With `stdin`, the end of standard input asks as well.
pub async fn requested(stdin: bool) {
    let reason = tokio::select! {
        reason = signalled() => reason,
        () = stdin_closed(), if stdin => "standard input closed",
    };
    tracing::info!(reason, "asked to stop");
}

async fn signalled() -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be watched, stop this process with SIGKILL");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

async fn stdin_closed() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0_u8; 256];
    while !matches!(stdin.read(&mut buffer).await, Ok(0) | Err(_)) {}
}
