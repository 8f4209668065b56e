//! The description of the interface, kept by hand.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

const DESCRIPTION: &str = include_str!("openapi.json");

/// `GET /openapi.json`
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::routes::routes;

    #[test]
    fn the_description_has_each_route_and_no_other() {
        let described: serde_json::Value = serde_json::from_str(DESCRIPTION).unwrap();
        let paths = described["paths"].as_object().unwrap();
        let described = paths.iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
        });
        let served = routes().into_iter().map(|(method, path, _)| (method.to_owned(), path.to_owned()));
        assert_eq!(described.collect::<BTreeSet<_>>(), served.collect());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let described: serde_json::Value = serde_json::from_str(DESCRIPTION).unwrap();
        let references = DESCRIPTION.split("\"$ref\": \"#").skip(1).map(|rest| rest.split('"').next().unwrap());
        let references: BTreeSet<_> = references.collect();
        assert!(references.len() > 10);
        for reference in references {
            assert!(described.pointer(reference).is_some(), "{reference}");
        }
    }
}
