//! Real connections to peers on this machine.

use super::*;
use lockstep_domain::delivery::checks::{Outputs, REDIRECTS_MAX, Reach, TcpTarget};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;

/// Enough time for a busy machine.
const PATIENT: Duration = Duration::from_secs(30);
/// Enough time to be noticed.
const SHORT: Duration = Duration::from_millis(100);

/// Returns the admission that a stage of the local cloud may have.
fn local(reach: &[Reach]) -> Admission {
    let reach: BTreeSet<Reach> = reach.iter().copied().collect();
    Admission::new("ci".parse().unwrap(), reach, Some("http://127.0.0.1:4566"))
}

fn loopback() -> Admission {
    local(&[Reach::Loopback])
}

/// Resolver that returns the prepared addresses for each name, in order, and records the names.
#[derive(Default)]
struct Script {
    answers: RefCell<VecDeque<Vec<IpAddr>>>,
    asked: RefCell<Vec<String>>,
}

impl Script {
    fn of<const N: usize>(answers: [&[&str]; N]) -> Prober<Self> {
        let parse = |list: &[&str]| list.iter().map(|address| address.parse().unwrap()).collect();
        Prober::new(Self { answers: RefCell::new(answers.map(parse).into()), asked: RefCell::default() })
    }
}

impl Resolve for Script {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.borrow_mut().push(name.to_owned());
        Ok(self.answers.borrow_mut().pop_front().expect("a name that nothing was prepared for"))
    }
}

/// Server that sends each connection the next answer and closes it. Ends with the recorded requests.
struct Server {
    port: u16,
    requests: JoinHandle<Vec<String>>,
}

impl Server {
    fn start(answers: Vec<String>) -> Self {
        let listener = listener();
        let port = listener.local_addr().unwrap().port();
        let requests = std::thread::spawn(move || {
            answers.iter().map(|answer| exchange(&mut listener.accept().unwrap().0, answer)).collect()
        });
        Self { port, requests }
    }

    fn url(&self, host: &str) -> Url {
        Url::parse(&format!("http://{host}:{}/health?token=secret", self.port)).unwrap()
    }

    fn requests(self) -> Vec<String> {
        self.requests.join().unwrap()
    }
}

/// Starts a server that answers the first request with `start` and keeps the connection open until the sender is
/// dropped.
fn stalling(start: Vec<u8>) -> (u16, mpsc::Sender<()>) {
    let listener = listener();
    let port = listener.local_addr().unwrap().port();
    let (sender, dropped) = mpsc::channel();
    std::thread::spawn(move || {
        let mut peer = listener.accept().unwrap().0;
        assert!(peer.read(&mut [0; 4096]).unwrap() > 0);
        // A client that has read enough closes the connection, and the rest cannot be written.
        let _ = peer.write_all(&start);
        let _ = dropped.recv();
    });
    (port, sender)
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap()
}

fn exchange(peer: &mut std::net::TcpStream, answer: &str) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    peer.write_all(answer.as_bytes()).unwrap();
    String::from_utf8(request).unwrap()
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nset-cookie: a=b\r\n\r\n{body}", body.len())
}

fn redirected(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nset-cookie: a=b\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
}

fn peer(host: &str, port: u16) -> Peer {
    format!("{host}:{port}").parse::<TcpTarget>().unwrap().resolve(&Outputs::new()).unwrap()
}

async fn get<R: Resolve>(
    prober: &Prober<R>,
    url: &Url,
    admission: &Admission,
) -> Result<ProbeResponse, Unanswered> {
    prober.get(Get { url, wanted: &Statuses::default(), body: true }, admission, PATIENT).await
}

/// Returns a port without a listener.
fn closed() -> u16 {
    listener().local_addr().unwrap().port()
}

fn untouched(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    listener.accept().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn refused(outcome: Result<impl std::fmt::Debug, Unanswered>) -> String {
    match outcome {
        Err(Unanswered::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn not_yet(outcome: Result<impl std::fmt::Debug, Unanswered>) -> String {
    match outcome {
        Err(Unanswered::NotYet(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_peer_that_listens_accepts_and_one_that_does_not_refuses() {
    let prober = Prober::new(SystemResolver);
    let listener = listener();
    let there = peer("127.0.0.1", listener.local_addr().unwrap().port());
    assert_eq!(prober.connect(&there, &loopback(), PATIENT).await, Ok(()));
    let refusing = peer("127.0.0.1", closed());
    let reason = not_yet(prober.connect(&refusing, &loopback(), PATIENT).await);
    assert_eq!(reason, format!("{refusing} refuses connections"));
    let url = Url::parse(&format!("http://{refusing}/x?token=secret")).unwrap();
    assert_eq!(not_yet(get(&prober, &url, &loopback()).await), format!("{refusing} refuses connections"));
}

#[tokio::test]
async fn a_name_is_reached_at_any_address_that_accepts() {
    let listener = listener();
    let there = peer("two.test", listener.local_addr().unwrap().port());
    let prober = Script::of([&["127.0.0.2", "127.0.0.1"]]);
    assert_eq!(prober.connect(&there, &loopback(), PATIENT).await, Ok(()));
}

#[tokio::test]
async fn a_name_without_an_address_may_have_one_later() {
    let reason = not_yet(Script::of([&[]]).connect(&peer("new.test", 1), &loopback(), PATIENT).await);
    assert_eq!(reason, "the name new.test has no address");
}

#[tokio::test]
async fn row_82_no_connection_is_made_to_a_peer_the_stage_does_not_allow() {
    let listener = listener();
    let port = listener.local_addr().unwrap().port();
    let on_aws = Admission::new("ci".parse().unwrap(), [Reach::Private, Reach::Loopback].into(), None);
    for admission in [local(&[]), local(&[Reach::Private]), on_aws] {
        for spelled in ["127.0.0.1", "127.1", "0x7f000001", "[::ffff:127.0.0.1]"] {
            let prober = Prober::new(SystemResolver);
            refused(prober.connect(&peer(spelled, port), &admission, PATIENT).await);
            let url = Url::parse(&format!("http://{spelled}:{port}/")).unwrap();
            refused(get(&prober, &url, &admission).await);
        }
        refused(Script::of([&["127.0.0.1"]]).connect(&peer("a.test", port), &admission, PATIENT).await);
    }
    assert!(untouched(&listener));
}

#[tokio::test]
async fn row_82_one_bad_address_refuses_the_name_before_any_connection() {
    let listener = listener();
    let port = listener.local_addr().unwrap().port();
    for bad in ["169.254.169.254", "10.0.0.1", "fd00:ec2::254"] {
        let prober = Script::of([&["127.0.0.1", bad]]);
        let reason = refused(prober.connect(&peer("mixed.test", port), &loopback(), PATIENT).await);
        assert!(reason.starts_with(&format!("mixed.test ({bad}) is ")), "{reason}");
    }
    assert!(untouched(&listener));
}

#[tokio::test]
async fn row_82_a_name_is_resolved_once_and_its_judged_address_is_used() {
    let server = Server::start(vec![ok("fine")]);
    // A second resolution of the name would find no prepared address.
    let prober = Script::of([&["127.0.0.1"]]);
    let url = server.url("rebinding.test");
    let answer = get(&prober, &url, &loopback()).await;
    assert_eq!(answer, Ok(ProbeResponse { status: 200, body: b"fine".to_vec() }));
    assert_eq!(*prober.resolver.asked.borrow(), ["rebinding.test"]);
    let host = format!("host: rebinding.test:{}\r\n", server.port);
    let requests = server.requests();
    assert!(requests[0].contains(&host), "{requests:?}");
}

#[tokio::test]
async fn row_82_a_public_name_that_becomes_loopback_is_refused_next_time() {
    let prober = Script::of([&["127.0.0.1"], &["169.254.169.254"]]);
    let listener = listener();
    let rebinding = peer("rebinding.test", listener.local_addr().unwrap().port());
    assert_eq!(prober.connect(&rebinding, &loopback(), PATIENT).await, Ok(()));
    refused(prober.connect(&rebinding, &loopback(), PATIENT).await);
}

#[tokio::test]
async fn row_82_every_redirect_is_resolved_and_judged_afresh() {
    let second = Server::start(vec![ok("fine")]);
    let first = Server::start(vec![redirected(&format!("http://second.test:{}/", second.port))]);
    let prober = Script::of([&["127.0.0.1"], &["127.0.0.1"]]);
    assert_eq!(get(&prober, &first.url("first.test"), &loopback()).await.unwrap().status, 200);
    assert_eq!(*prober.resolver.asked.borrow(), ["first.test", "second.test"]);

    let first = Server::start(vec![redirected("http://second.test/")]);
    let prober = Script::of([&["127.0.0.1"], &["10.0.0.1"]]);
    let reason = refused(get(&prober, &first.url("first.test"), &loopback()).await);
    assert!(reason.starts_with("second.test (10.0.0.1) is a private address"), "{reason}");
}

#[tokio::test]
async fn row_82_a_redirect_to_a_metadata_service_is_refused() {
    for metadata in ["169.254.169.254", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]", "2852039166"] {
        let server = Server::start(vec![redirected(&format!("http://{metadata}/latest/meta-data/"))]);
        let all = local(&[Reach::Private, Reach::Loopback]);
        let reason = refused(get(&Prober::new(SystemResolver), &server.url("127.0.0.1"), &all).await);
        assert!(reason.ends_with("which no setting allows a check to reach"), "{reason}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_url_that_no_check_may_name_is_refused() {
    for location in ["ftp://127.0.0.1/", "http://user:secret@127.0.0.1/", "file:///etc/passwd"] {
        let server = Server::start(vec![redirected(location)]);
        let reason = refused(get(&Prober::new(SystemResolver), &server.url("127.0.0.1"), &loopback()).await);
        assert!(reason.contains(" redirects to ") && !reason.contains("secret"), "{reason}");
    }
}

#[tokio::test]
async fn a_loop_of_redirects_is_left_after_a_few() {
    let times = usize::try_from(REDIRECTS_MAX).unwrap() + 1;
    let server = Server::start(vec![redirected("/again"); times]);
    let reason = not_yet(get(&Prober::new(SystemResolver), &server.url("127.0.0.1"), &loopback()).await);
    assert!(reason.ends_with("/again redirects more than 5 times"), "{reason}");
    assert_eq!(server.requests().len(), times);
}

#[tokio::test]
async fn an_accepted_redirect_is_the_answer() {
    let server = Server::start(vec![redirected("http://169.254.169.254/")]);
    let (url, wanted) = (server.url("127.0.0.1"), BTreeSet::from([302]).try_into().unwrap());
    let question = Get { url: &url, wanted: &wanted, body: false };
    let answer = Prober::new(SystemResolver).get(question, &loopback(), PATIENT).await;
    assert_eq!(answer, Ok(ProbeResponse { status: 302, body: Vec::new() }));
}

#[tokio::test]
async fn a_request_carries_no_credentials_of_the_function() {
    let server = Server::start(vec![redirected("/next"), ok("")]);
    get(&Prober::new(SystemResolver), &server.url("127.0.0.1"), &loopback()).await.unwrap();
    let port = server.port;
    for (n, request) in server.requests().iter().enumerate() {
        let mut lines: Vec<&str> = request.trim_end().lines().skip(1).collect();
        lines.sort_unstable();
        let host = format!("host: 127.0.0.1:{port}");
        assert_eq!(lines, ["accept: */*", &host, &format!("user-agent: {USER_AGENT}")], "{n}");
    }
}

#[tokio::test]
async fn a_slow_peer_is_cut_off_wherever_it_stops() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
    for start in ["", "HTTP/1.1 200 OK\r\nx: y\r\n", head, &format!("{head}half")] {
        let (port, _open) = stalling(start.into());
        let url = Url::parse(&format!("http://127.0.0.1:{port}/x?token=secret")).unwrap();
        let question = Get { url: &url, wanted: &Statuses::default(), body: true };
        let reason = not_yet(Prober::new(SystemResolver).get(question, &loopback(), SHORT).await);
        assert_eq!(reason, format!("http://127.0.0.1:{port}/x did not answer within 1 s"));
    }
}

#[tokio::test]
async fn a_body_is_read_as_far_as_the_cap_and_no_further() {
    let mut start = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n".to_vec();
    start.extend(vec![b'x'; BODY_BYTES_MAX + 1]);
    let (port, _open) = stalling(start);
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let answer = get(&Prober::new(SystemResolver), &url, &loopback()).await.unwrap();
    assert_eq!(answer, ProbeResponse { status: 200, body: vec![b'x'; BODY_BYTES_MAX] });
}

#[tokio::test]
async fn an_unrequested_body_is_not_awaited() {
    let (port, _open) = stalling(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_vec());
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let question = Get { url: &url, wanted: &Statuses::default(), body: false };
    let answer = Prober::new(SystemResolver).get(question, &loopback(), PATIENT).await;
    assert_eq!(answer, Ok(ProbeResponse { status: 200, body: Vec::new() }));
}

#[tokio::test]
async fn a_response_without_http_or_without_end_of_headers_is_no_answer() {
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(1 << 20));
    let answers = ["SSH-2.0-OpenSSH_9.6\r\n".to_owned(), many, large];
    for (n, answer) in answers.into_iter().enumerate() {
        let start = if n == 0 { answer } else { format!("HTTP/1.1 200 OK\r\n{answer}") };
        let (port, _open) = stalling(start.into_bytes());
        let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
        let reason = not_yet(get(&Prober::new(SystemResolver), &url, &loopback()).await);
        assert_eq!(reason, format!("127.0.0.1:{port} answers something that is no HTTP"), "{n}");
    }
}

#[tokio::test]
async fn a_peer_without_tls_has_no_answer_over_https() {
    let (port, _open) = stalling(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let url = Url::parse(&format!("https://127.0.0.1:{port}/")).unwrap();
    let reason = not_yet(get(&Prober::new(SystemResolver), &url, &loopback()).await);
    assert_eq!(reason, format!("127.0.0.1:{port} does not speak TLS as it should"));
}
