//! Connections to executors. Where an executor is reached is what it said of itself: whoever answers there must prove, by
//! the name in its certificate, to be the one that is asked for.

use std::collections::HashMap;

use parcours_identity::{ClientTls, Expects};
use parking_lot::Mutex;
use tonic::Status;
use tonic::transport::Channel;

use crate::orders::executor_name;

/// The way to executors, a connection to each.
#[derive(Debug)]
pub struct Executors {
    tls: ClientTls,
    /// By name: the address, and the channel to it.
    channels: Mutex<HashMap<String, (String, Channel)>>,
}

impl Executors {
    /// Connections with these certificates.
    pub fn new(tls: ClientTls) -> Self {
        Self {
            tls,
            channels: Mutex::default(),
        }
    }

    /// A channel to the executor of this id, which is said to be at `address`; it connects when it is first used.
    ///
    /// # Errors
    /// Unavailable if the address cannot be one.
    // A Status is large, but it is what every call returns.
    #[allow(clippy::result_large_err)]
    pub fn channel(&self, id: &str, address: &str) -> Result<Channel, Status> {
        let name = executor_name(id);
        let mut channels = self.channels.lock();
        if let Some((known, channel)) = channels.get(name)
            && known == address
        {
            return Ok(channel.clone());
        }
        let tls = self.tls.expecting(Expects::Executor(name.to_owned()));
        let channel = tls
            .connect_lazy(address)
            .map_err(|error| Status::unavailable(error.to_string()))?;
        channels.insert(name.to_owned(), (address.to_owned(), channel.clone()));
        Ok(channel)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow_flight::Action;
    use arrow_flight::flight_service_client::FlightServiceClient;
    use arrow_flight::flight_service_server::FlightServiceServer;
    use futures::StreamExt;
    use parcours_identity::pki::{InitOptions, Pki, Request};
    use parcours_identity::{Accepts, Listener, Principal, ServerTls};
    use tonic::transport::Server;

    use super::*;
    use crate::flight::{Answers, Narrow, Results};

    const DOMAIN: &str = "hospital.example";

    /// Counts what it is asked.
    struct Counting(Arc<AtomicUsize>);

    #[tonic::async_trait]
    impl Answers for Counting {
        const REFUSAL: &'static str = "nothing but actions is answered";

        async fn action(&self, _: tonic::Request<Action>) -> Result<Results, Status> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(futures::stream::empty().boxed())
        }
    }

    /// Serves as the executor of this name; its address, and how often it was asked.
    async fn serve(pki: &Pki, name: &str) -> (String, Arc<AtomicUsize>) {
        let principal = Principal::executor(DOMAIN, name).unwrap();
        pki.issue(Request::server(principal, ["localhost"], "server")).unwrap();
        let files = pki.tls_files("server");
        let tls = ServerTls::open(files, DOMAIN, Accepts::ExecutorsAndScheduler, "partitions").unwrap();
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), tls).await.unwrap();
        let address = listener.local_addr().to_string();
        let asked = Arc::<AtomicUsize>::default();
        let service = FlightServiceServer::new(Narrow(Counting(asked.clone())));
        let served = Server::builder().add_service(service);
        tokio::spawn(served.serve_with_incoming(listener.incoming()));
        (address, asked)
    }

    async fn ask(channel: Channel) -> Result<(), Status> {
        let action = Action::new("parcours.partition", Vec::new());
        FlightServiceClient::new(channel).do_action(action).await.map(drop)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_but_the_executor_of_the_name_is_asked() {
        parcours_identity::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::init(&folder.path().join("pki"), DOMAIN, InitOptions::default()).unwrap();
        let (address, asked) = serve(&pki, "executor-1").await;
        let scheduler = Principal::scheduler(DOMAIN).unwrap();
        pki.issue(Request::client(scheduler, "client")).unwrap();
        let tls = ClientTls::open(pki.tls_files("client"), DOMAIN, Expects::AnyExecutor).unwrap();
        let executors = Executors::new(tls);
        for (id, is_asked) in [
            ("executor-1:ab", true),
            ("executor-2:cd", false),
            ("executor-10:ab", false),
            ("executor-1:ef", true),
        ] {
            let before = asked.load(Ordering::SeqCst);
            let answer = ask(executors.channel(id, &address).unwrap()).await;
            assert_eq!(answer.is_ok(), is_asked, "{id}: {answer:?}");
            assert_eq!(asked.load(Ordering::SeqCst) - before, usize::from(is_asked), "{id}");
        }
    }

    #[test]
    fn what_is_no_address_is_not_dialled() {
        parcours_identity::install_crypto_provider();
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::init(&folder.path().join("pki"), DOMAIN, InitOptions::default()).unwrap();
        let scheduler = Principal::scheduler(DOMAIN).unwrap();
        pki.issue(Request::client(scheduler, "client")).unwrap();
        let tls = ClientTls::open(pki.tls_files("client"), DOMAIN, Expects::AnyExecutor).unwrap();
        let refusal = Executors::new(tls)
            .channel("executor-1:ab", "nowhere/at:all")
            .unwrap_err();
        assert_eq!(refusal.code(), tonic::Code::Unavailable);
    }
}
