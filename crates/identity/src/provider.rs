//! The one set of cryptographic primitives: aws-lc-rs, TLS 1.3, hybrid X25519MLKEM768 first. Our own listeners and
//! connectors name it themselves; the process-wide default is for libraries that ask rustls for one.

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// The provider every configuration of this crate is built with.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    PROVIDER.clone()
}

/// Makes aws-lc-rs the process-wide default of rustls. Call it first in every `main`: with two providers compiled in,
/// libraries that rely on the default panic without it. Calling it again does nothing.
pub fn install_crypto_provider() {
    // An error only says that a default is there already.
    let _ = aws_lc_rs::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    #[test]
    fn the_hybrid_group_is_offered_first() {
        let groups: Vec<_> = super::provider().kx_groups.iter().map(|group| group.name()).collect();
        assert_eq!(groups.first(), Some(&NamedGroup::X25519MLKEM768));
    }

    #[test]
    fn installing_twice_is_harmless() {
        super::install_crypto_provider();
        super::install_crypto_provider();
    }
}
