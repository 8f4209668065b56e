//! The files of the page: built in, or from a folder while somebody works on them.

use std::path::{Component, Path, PathBuf};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;

use super::refusal::Refusal;

/// A file of the page as it is, and compressed.
struct Packed {
    name: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

// `FILES: &[Packed]`, made by the build script from the folder `page`.
include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// A folder that takes the place of the files that are built in.
const FOLDER_VARIABLE: &str = "GUTHI_WEB_DIR";
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Answers a path that no route takes with the file of that name.
pub(crate) async fn file(request: Request) -> Response {
    let path = request.uri().path();
    if path.starts_with("/api/") {
        return super::guard::nowhere(request.uri());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return super::guard::wrong_method(request.method().clone(), request.uri().clone()).await;
    }
    let name = if path == "/" { "index.html" } else { path.trim_start_matches('/') };
    let encodings = request.headers().get_all(header::ACCEPT_ENCODING).iter();
    let takes_gzip = encodings.filter_map(|encodings| encodings.to_str().ok()).any(takes_gzip);
    let (Some(kind), Some((bytes, is_gzip))) = (kind(name), bytes(name, takes_gzip).await) else {
        return Refusal::not_found(format!("there is no file {path}")).into_response();
    };
    let tag = format!("\"{}\"", HEXLOWER.encode(&blake3::hash(&bytes).as_bytes()[..16]));
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter();
    let is_known = known.filter_map(|tags| tags.to_str().ok()).any(|tags| tags.contains(&tag));
    let (status, body) =
        if is_known { (StatusCode::NOT_MODIFIED, Body::empty()) } else { (StatusCode::OK, Body::from(bytes)) };
    let mut answer = (status, body).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    answer
}

/// Whether a browser takes compressed files; one that says it does not is told the plain ones.
fn takes_gzip(encodings: &str) -> bool {
    encodings.split(',').any(|encoding| {
        let (name, quality) = encoding.split_once(";q=").unwrap_or((encoding, "1"));
        name.trim() == "gzip" && quality.trim().parse::<f32>().is_ok_and(|quality| quality > 0.0)
    })
}

/// The bytes of a file, and whether they are compressed.
async fn bytes(name: &str, takes_gzip: bool) -> Option<(Bytes, bool)> {
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        let path = within(Path::new(&folder), name)?;
        let read = tokio::task::spawn_blocking(move || {
            let length = path.metadata().ok()?.len();
            (length <= FILE_BYTES_MAX).then(|| std::fs::read(path).ok())?
        });
        return Some((read.await.ok()??.into(), false));
    }
    let file = FILES.iter().find(|file| file.name == name)?;
    let bytes = if takes_gzip { file.gzip } else { file.plain };
    Some((Bytes::from_static(bytes), takes_gzip))
}

/// The path of a name that stays within the folder.
fn within(folder: &Path, name: &str) -> Option<PathBuf> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    plain.then(|| folder.join(name))
}

fn kind(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_gzip_says_so() {
        for encodings in ["gzip", "deflate, gzip;q=1.0, *;q=0.5", "br, gzip"] {
            assert!(takes_gzip(encodings), "{encodings}");
        }
        for encodings in ["", "br", "gzip;q=0", "identity;q=1, gzip;q=0.0"] {
            assert!(!takes_gzip(encodings), "{encodings}");
        }
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_folder() {
        let folder = Path::new("/page");
        assert_eq!(within(folder, "a/b.js"), Some("/page/a/b.js".into()));
        for name in ["../secret.js", "a/../../secret.js", "/etc/passwd.js"] {
            assert_eq!(within(folder, name), None, "{name}");
        }
    }
}
