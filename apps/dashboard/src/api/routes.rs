//! Which path leads where.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{MethodRouter, delete, get, post, put},
};

use super::{call, invite, lists, logs, metrics, mutexes, node, openapi, resources, topics, variables, watching};
use crate::{
    app::App,
    http::{files, guard, input::BODY_BYTES_MAX, login},
    stream::socket,
};

/// A method, a path and what answers.
type Route = (&'static str, &'static str, MethodRouter<Arc<App>>);

/// All that is answered, files aside.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        ("GET", "/api/v1/self", get(node::itself)),
        ("POST", "/api/v1/self/leave", post(node::leave)),
        ("GET", "/api/v1/nodes", get(lists::nodes)),
        ("GET", "/api/v1/nodes/{node}", get(lists::node)),
        ("POST", "/api/v1/nodes/connect", post(node::connect)),
        ("POST", "/api/v1/nodes/{node}/forget", post(node::forget)),
        ("GET", "/api/v1/resources", get(resources::resources)),
        ("GET", "/api/v1/resources/history", get(resources::history)),
        ("GET", "/api/v1/logs", get(logs::logs)),
        ("POST", "/api/v1/invite", post(invite::invite)),
        ("GET", "/api/v1/openapi.json", get(openapi::openapi)),
        ("GET", "/metrics", get(metrics::metrics)),
        ("GET", "/api/v1/view", get(lists::view)),
        ("GET", "/api/v1/sees", get(lists::sees)),
        ("GET", "/api/v1/functions", get(lists::functions)),
        ("POST", "/api/v1/functions/{name}/call", post(call::call)),
        ("GET", "/api/v1/mutexes", get(mutexes::mutexes)),
        ("POST", "/api/v1/mutexes/{name}/lock", post(mutexes::lock)),
        ("GET", "/api/v1/variables", get(variables::variables)),
        ("GET", "/api/v1/variables/{name}", get(variables::read)),
        ("PUT", "/api/v1/variables/{name}", put(variables::write)),
        ("DELETE", "/api/v1/variables/{name}", delete(variables::delete)),
        ("POST", "/api/v1/variables/{name}/add", post(variables::add)),
        ("POST", "/api/v1/variables/{name}/reset", post(variables::reset)),
        ("GET", "/api/v1/variables/{name}/changes", get(watching::changes)),
        ("GET", "/api/v1/changes/variables", get(watching::all_changes)),
        ("GET", "/api/v1/export/variables", get(variables::export)),
        ("POST", "/api/v1/import/variables", post(variables::import)),
        ("POST", "/api/v1/topics/{name}/publish", post(topics::publish)),
        ("GET", "/api/v1/topics/{name}/messages", get(topics::messages)),
        ("GET", "/api/v1/events", get(lists::events)),
        ("GET", "/api/v1/stream", get(socket::open)),
        ("GET", "/healthz", get(node::health)),
        ("POST", "/login", post(login::login)),
    ]
}

/// The whole server behind its guard.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (_, path, route) in routes() {
        router = router.route(path, route);
    }
    router
        .method_not_allowed_fallback(guard::wrong_method)
        .fallback(files::file)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}
