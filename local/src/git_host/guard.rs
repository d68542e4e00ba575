//! The guard before every path of the git host: it refuses web pages, as the emulator's `overlay/front.py` does.
//!
//! A web page reaches every port of this machine. Its requests have an `Origin` or the name of another host (DNS
//! rebinding), the browser says where they come from (`Sec-Fetch-Site`), or it asks first (`OPTIONS`). No client of
//! the git host sends any of these.

use super::api::Refused;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

/// Refuses a request with a sign that a web page sent it.
pub(super) async fn refuse_pages(
    State(port): State<u16>,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    if sent_by_a_page(request.method(), request.headers(), port) {
        return Err(Refused(StatusCode::FORBIDDEN, "The git host answers no web page".into()));
    }
    Ok(next.run(request).await)
}

fn sent_by_a_page(method: &Method, headers: &HeaderMap, port: u16) -> bool {
    let own = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let from_elsewhere = headers.get_all("sec-fetch-site").iter().any(|site| site != "none");
    method == Method::OPTIONS
        || headers.contains_key(header::ORIGIN)
        || from_elsewhere
        || !host.is_some_and(|host| own.iter().any(|own| own == host))
}
