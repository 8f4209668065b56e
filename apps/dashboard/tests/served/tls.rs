//! Beyond loopback: what a browser sees that comes by TLS.

use std::sync::Arc;

use guthi_dashboard::Tls;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};

use super::kit::Served;

const PASSWORD: &str = "correct horse battery";

/// Trusts one certificate, as people do who have compared its fingerprint.
#[derive(Debug)]
struct Compared {
    fingerprint: String,
    provider: CryptoProvider,
}

impl ServerCertVerifier for Compared {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let digest: Vec<_> = Sha256::digest(certificate).iter().map(|byte| format!("{byte:02X}")).collect();
        let same = digest.join(":") == self.fingerprint;
        same.then(ServerCertVerified::assertion).ok_or_else(|| Error::General("another certificate".into()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Sends a request by TLS to whoever has the certificate with that fingerprint; what came back, whole.
async fn send(served: &Served, fingerprint: &str, request: &str) -> Result<String, std::io::Error> {
    let provider = ring::default_provider();
    let compared = Compared { fingerprint: fingerprint.into(), provider: provider.clone() };
    let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
    let config = config.expect("versions").dangerous().with_custom_certificate_verifier(Arc::new(compared));
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let stream = TcpStream::connect(served.dashboard.address()).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost").expect("a name"), stream).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // Not everybody says goodbye by TLS before the connection is closed.
    let _ = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8(answer).expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_compared_the_fingerprint_logs_in_by_tls() {
    let served = Served::with(|builder| builder.password(PASSWORD).tls(Tls::SelfSigned)).await;
    let host = served.dashboard.address();
    let fingerprint = served.dashboard.fingerprint().expect("it has a certificate").to_owned();
    assert!(served.dashboard.url().starts_with("https://"), "{}", served.dashboard.url());

    let healthy = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = send(&served, &fingerprint, &healthy).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"ok\""), "{answer}");

    let body = json!({ "password": PASSWORD }).to_string();
    let login = |origin: &str| {
        let length = body.len();
        format!(
            "POST /login HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let answer = send(&served, &fingerprint, &login(&format!("https://{host}"))).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    let cookie = answer.lines().find(|line| line.to_lowercase().starts_with("set-cookie:")).expect("a cookie");
    assert!(cookie.contains("; Secure") && cookie.contains("HttpOnly"), "{cookie}");
    let answer = send(&served, &fingerprint, &login(&format!("http://{host}"))).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "a page that came without TLS is another origin: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_noticed_and_plain_text_is_not_answered() {
    let served = Served::with(|builder| builder.password(PASSWORD).tls(Tls::SelfSigned)).await;
    let host = served.dashboard.address();
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert!(send(&served, "00:11", &request).await.is_err());

    let mut plain = TcpStream::connect(host).await.unwrap();
    plain.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{:?}", String::from_utf8_lossy(&answer));
}
