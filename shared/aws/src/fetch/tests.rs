use super::*;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap as Headers, Response as Reply, Uri};
use axum::routing::get;
use std::sync::{Arc, Mutex};

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// Requests of a server on this machine: path and query, and the authorization header.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// Starts a server on this machine that answers every request with `status` and `headers`, and records the requests.
async fn server(status: u16, headers: Vec<(&'static str, String)>, body: &'static [u8]) -> (String, Asked) {
    let asked = Asked::default();
    let answer = move |State(asked): State<Asked>, uri: Uri, sent: Headers| async move {
        let token = sent.get("authorization").map(|v| v.to_str().unwrap().to_owned());
        asked.lock().unwrap().push((uri.to_string(), token));
        let mut reply = Reply::builder().status(status);
        for (name, value) in &headers {
            reply = reply.header(*name, value);
        }
        reply.body(axum::body::Body::from(body)).unwrap()
    };
    let app = Router::new().fallback(get(answer)).with_state(asked.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (base, asked)
}

fn asked(by: &Asked) -> Vec<(String, Option<String>)> {
    by.lock().unwrap().clone()
}

fn with_token(path: &str) -> (String, Option<String>) {
    (path.to_owned(), Some("Bearer t0ken".to_owned()))
}

#[test]
fn a_base_url_is_https_or_this_machine_and_holds_no_secret() {
    for good in
        ["https://api.github.com", "https://ghe.acme.example/api/v3/", "http://127.0.0.1:9", "http://[::1]:9"]
    {
        assert!(checked_base(good, true).is_ok(), "{good}");
    }
    for bad in [
        "",
        "api.github.com",
        "http://api.github.com",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "ftp://127.0.0.1",
        "file:///etc",
        "https://user@api.github.com",
        "https://:pw@api.github.com",
        "https://api.github.com?x=1",
        "https://api.github.com#x",
    ] {
        assert!(checked_base(bad, true).is_err(), "{bad}");
    }
}

#[test]
fn the_token_goes_to_the_origin_of_the_record_and_nowhere_else() {
    let base = url("https://api.github.com");
    assert!(carries_token(&base, &url("https://api.github.com/repos/a/b")));
    assert!(carries_token(&base, &url("https://api.github.com:443/repos")));
    for other in [
        "https://codeload.github.com/x",
        "https://github.com",
        "https://api.github.com:8443/",
        "http://api.github.com/",
        "https://api.github.com.evil.example/",
    ] {
        assert!(!carries_token(&base, &url(other)), "{other}");
    }
}

#[test]
fn a_redirect_stays_on_https_and_outside_our_network() {
    let base = url("https://api.github.com");
    let leads =
        |location: &str| follow(&base, &url("https://api.github.com/repos/a/b/tarball/c"), location, 0);
    assert_eq!(leads("/elsewhere").unwrap().as_str(), "https://api.github.com/elsewhere");
    assert_eq!(
        leads("https://codeload.github.com/x?token=y").unwrap().host_str(),
        Some("codeload.github.com")
    );
    for bad in [
        "http://codeload.github.com/",
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://localhost/",
        "https://0x7f.1/",
        "https://user:pw@codeload.github.com/",
        "ftp://codeload.github.com/",
        "file:///etc/passwd",
        "//:",
    ] {
        assert!(matches!(leads(bad), Err(FetchError::Redirect { .. })), "{bad}");
    }
}

#[test]
fn this_machine_never_redirects_without_https_to_another() {
    let base = url("http://127.0.0.1:1000/");
    assert!(follow(&base, &base, "http://127.0.0.1:2000/x", 0).is_ok());
    assert!(follow(&base, &base, "https://codeload.github.com/x", 0).is_ok());
    assert!(follow(&base, &base, "http://10.0.0.1/x", 0).is_err());
    assert!(follow(&base, &base, "http://codeload.github.com/x", 0).is_err());
}

#[tokio::test]
async fn a_redirect_to_another_port_is_followed_without_the_token() {
    let (store, at_store) = server(200, vec![], b"tar").await;
    let location = format!("{store}/file?token=query");
    let (api, at_api) = server(302, vec![("location", location)], b"").await;
    let host = Host::new(&api, Some("t0ken"), true).unwrap();
    let answer = host.get(&["repos", "a", "b"], 10).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"tar".as_slice()));
    assert_eq!(asked(&at_api), [with_token("/repos/a/b")]);
    assert_eq!(asked(&at_store), [("/file?token=query".to_owned(), None)]);
}

#[tokio::test]
async fn the_fourth_redirect_is_refused() {
    let (api, at_api) = server(302, vec![("location", "/again".to_owned())], b"").await;
    let host = Host::new(&api, Some("t0ken"), true).unwrap();
    let error = host.get(&["x"], 10).await.unwrap_err();
    assert_eq!(error, FetchError::Redirect { host: "127.0.0.1".to_owned(), why: "too often" });
    assert_eq!(
        asked(&at_api),
        [with_token("/x"), with_token("/again"), with_token("/again"), with_token("/again")]
    );
}

#[tokio::test]
async fn a_body_is_read_up_to_its_bound_and_not_beyond() {
    let (api, _) = server(200, vec![], b"0123456789").await;
    let host = Host::new(&api, None, true).unwrap();
    assert_eq!(host.get(&["x"], 10).await.unwrap().body, b"0123456789");
    assert_eq!(
        host.get(&["x"], 9).await,
        Err(FetchError::TooLarge { host: "127.0.0.1".to_owned(), limit: 9 })
    );
}

/// Starts a server on this machine that answers one request with exactly these bytes.
fn raw_server(answer: &'static str) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
    });
    base
}

#[tokio::test]
async fn a_body_without_a_length_is_counted_while_it_is_read() {
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n";
    let read =
        async |bytes_max| Host::new(&raw_server(CHUNKED), None, true).unwrap().get(&["x"], bytes_max).await;
    assert_eq!(read(10).await.unwrap().body, b"0123456789");
    assert!(matches!(read(9).await, Err(FetchError::TooLarge { limit: 9, .. })));
}

#[tokio::test]
async fn half_an_answer_is_no_answer() {
    let base = raw_server("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234");
    let error = Host::new(&base, None, true).unwrap().get(&["x"], 100).await.unwrap_err();
    assert_eq!(error.to_string(), "127.0.0.1 broke off its answer");
}

#[tokio::test]
async fn the_body_of_a_hosts_failure_is_not_kept() {
    let (api, _) = server(404, vec![], b"secret words").await;
    let answer = Host::new(&api, None, true).unwrap().get(&["x"], 100).await.unwrap();
    assert_eq!(answer, FetchResponse { status: 404, throttled: false, body: vec![] });
}

#[tokio::test]
async fn throttling_is_distinguished_from_forbidden() {
    for (status, headers, expected) in [
        (429, vec![], true),
        (403, vec![("x-ratelimit-remaining", "0".to_owned())], true),
        (403, vec![("retry-after", "60".to_owned())], true),
        (403, vec![("x-ratelimit-remaining", "4999".to_owned())], false),
        (200, vec![("x-ratelimit-remaining", "0".to_owned())], false),
    ] {
        let (api, _) = server(status, headers, b"").await;
        let answer = Host::new(&api, None, true).unwrap().get(&["x"], 100).await.unwrap();
        assert_eq!((answer.status, answer.throttled), (status, expected));
    }
}

#[tokio::test]
async fn a_part_of_a_path_never_becomes_two() {
    let (api, at_api) = server(200, vec![], b"").await;
    let host = Host::new(&format!("{api}/api/v3/"), None, true).unwrap();
    host.get(&["repos", "a/../b", "c?d#e"], 10).await.unwrap();
    assert_eq!(asked(&at_api)[0].0, "/api/v3/repos/a%2F..%2Fb/c%3Fd%23e");
}

#[tokio::test]
async fn an_error_shows_neither_token_nor_query() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}/file?token=query", free.local_addr().unwrap());
    drop(free);
    let (api, _) = server(302, vec![("location", closed)], b"").await;
    let error = Host::new(&api, Some("t0ken"), true).unwrap().get(&["x"], 10).await.unwrap_err();
    assert_eq!(error.to_string(), "127.0.0.1 cannot be reached");
    assert_eq!(Failure::from(error).kind, FailureKind::Transient);
    assert_eq!(Host::new(&api, Some("t0k\nen"), true).err(), Some(FetchError::Token));
}
