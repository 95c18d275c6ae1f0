//! Whom a gate believes to be its keeper.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Authorities that vouch for keepers.
#[derive(Clone)]
pub struct Trust(TlsConnector);

impl Trust {
    /// From certificates in DER. Errors, in words: none of them can be used.
    pub fn of(authorities: Vec<Vec<u8>>) -> Result<Trust, String> {
        let mut roots = RootCertStore::empty();
        // A machine's store holds old ones that nobody reads any more; what counts is that some are left.
        let (used, _) = roots.add_parsable_certificates(authorities.into_iter().map(CertificateDer::from));
        if used == 0 {
            return Err("there is no certificate authority to believe".to_owned());
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Trust(TlsConnector::from(Arc::new(config))))
    }

    /// Errors: the keeper does not show a certificate for `host` that is believed.
    pub(crate) async fn greet(&self, host: &str, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        self.0.connect(name, socket).await
    }
}
