//! Certificates: given as files, or made for this run.

use std::{fmt, path::PathBuf, sync::Arc};

use sha2::{Digest, Sha256};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    },
};

use crate::ServeError;

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub enum Tls {
    /// PEM files: the chain of certificates, and the key.
    Files {
        /// The chain, the server's own certificate first.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// Made at the start and known to nobody: browsers warn, and people compare the
    /// [fingerprint](crate::Dashboard::fingerprint).
    SelfSigned,
}

/// What serves with a certificate.
pub(crate) struct Shield {
    pub(crate) acceptor: TlsAcceptor,
    /// SHA-256 of the certificate, as browsers show it.
    pub(crate) fingerprint: String,
}

impl Tls {
    pub(crate) fn shield(&self, hosts: &[String]) -> Result<Shield, ServeError> {
        let (chain, key) = match self {
            Self::Files { certificate, key } => files(certificate, key)?,
            Self::SelfSigned => self_signed(hosts)?,
        };
        let first = chain.first().ok_or_else(|| certificate_error("there is none in the file"))?;
        let fingerprint: Vec<_> = Sha256::digest(first).iter().map(|byte| format!("{byte:02X}")).collect();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(certificate_error)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(certificate_error)?;
        Ok(Shield { acceptor: TlsAcceptor::from(Arc::new(config)), fingerprint: fingerprint.join(":") })
    }
}

type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn files(certificate: &PathBuf, key: &PathBuf) -> Result<Chain, ServeError> {
    let named = |path: &PathBuf, error: &dyn fmt::Display| certificate_error(format!("{}: {error}", path.display()));
    let chain = CertificateDer::pem_file_iter(certificate).map_err(|error| named(certificate, &error))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| named(certificate, &error))?;
    Ok((chain, PrivateKeyDer::from_pem_file(key).map_err(|error| named(key, &error))?))
}

fn self_signed(hosts: &[String]) -> Result<Chain, ServeError> {
    let made = rcgen::generate_simple_self_signed(hosts).map_err(certificate_error)?;
    let key = PrivatePkcs8KeyDer::from(made.key_pair.serialize_der());
    Ok((vec![made.cert.der().clone()], key.into()))
}

fn certificate_error(reason: impl fmt::Display) -> ServeError {
    ServeError::Certificate { reason: reason.to_string() }
}
