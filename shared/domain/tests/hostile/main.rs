//! Hostile inputs at random: requests to the webhook, archives, and addresses of checks. Each test prints its seed,
//! which repeats the run; `LOCKSTEP_HOSTILE_SEED` sets it. `just soak` runs more of each.

#[path = "../approvals/random.rs"]
mod random;

use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, KeyInit as _, Mac as _};
use lockstep_domain::delivery::archive::{Limits, pack, unpack, unpack_tarball};
use lockstep_domain::delivery::checks::{Admission, Reach};
use lockstep_domain::delivery::hook::HookId;
use lockstep_domain::delivery::webhook::{WebhookEvent, parse_push, verify_signature};
use random::Random;
use sha2::Sha256;
use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Component, Path};
use tar::{Builder, EntryType, Header};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const REQUESTS: u64 = 5_000;
const ARCHIVES: u64 = 500;
const ADDRESSES: u64 = 1_000;

#[expect(clippy::disallowed_methods, reason = "a setting of a test is no setting of the product")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

/// Returns the number of inputs and a generator. Prints both, with the seed that repeats the run.
fn drawn(what: &str, usual: u64) -> (u64, Random) {
    use std::hash::{BuildHasher, Hasher};
    let fresh = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    let seed = setting("LOCKSTEP_HOSTILE_SEED").unwrap_or_else(fresh);
    let count = setting(&format!("LOCKSTEP_HOSTILE_{}", what.to_uppercase())).unwrap_or(usual);
    println!("{count} {what} from LOCKSTEP_HOSTILE_SEED={seed}");
    (count, Random(seed))
}

/// Changes `bytes` in one place or in some: a bit, a byte, a piece that is cut, repeated or moved.
fn mutated(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            bytes.push(byte(random));
        }
        let (at, to) = (random.below(bytes.len()), random.below(bytes.len()));
        let (from, until) = (at.min(to), at.max(to));
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = byte(random),
            2 => drop(bytes.drain(from..until)),
            3 => bytes.insert(at, byte(random)),
            4 => {
                let piece = bytes[from..until].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.swap(from, until),
        }
    }
    bytes
}

fn byte(random: &mut Random) -> u8 {
    random.next().to_be_bytes()[0]
}

const SECRET: &[u8] = b"a secret of a repository, 32 bytes";
const KEY: [u8; 32] = [9; 32];
const PUSH: &[u8] = include_bytes!("../fixtures/webhook/push.json");

/// A request to the webhook.
#[derive(Clone, PartialEq)]
struct Request {
    path: String,
    signature: Option<String>,
    body: Vec<u8>,
}

impl Request {
    fn genuine() -> Self {
        let hook = HookId::of(&KEY, &"github.acme.logs".parse().unwrap()).unwrap();
        Self { path: format!("/hooks/{hook}"), signature: Some(signature(PUSH)), body: PUSH.to_vec() }
    }

    /// Returns the request with one part changed, as a sender without the key and the secret can.
    fn forged(&self, random: &mut Random) -> Self {
        let mut request = self.clone();
        match random.below(4) {
            0 => request.path = text(&mutated(random, self.path.as_bytes())),
            1 if random.once_in(8) => request.signature = None,
            1 => {
                let genuine = self.signature.clone().unwrap_or_default();
                request.signature = Some(text(&mutated(random, genuine.as_bytes())));
            }
            _ => request.body = mutated(random, &self.body),
        }
        request
    }

    /// Returns true if the webhook would parse the body: the id and the signature are genuine.
    fn is_accepted(&self) -> bool {
        HookId::claimed(&self.path).is_some_and(|id| id.fits(&KEY).unwrap())
            && verify_signature(SECRET, self.signature.as_deref(), &self.body).is_ok()
    }
}

fn signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn no_mutated_request_is_accepted() {
    let genuine = Request::genuine();
    assert!(genuine.is_accepted());
    let (count, mut random) = drawn("requests", REQUESTS);
    let (mut accepted, mut parsed) = (0, 0);
    for _ in 0..count {
        let request = genuine.forged(&mut random);
        if request != genuine && request.is_accepted() {
            accepted += 1;
        }
        // The body of a sender who has the secret is parsed, and gives a push or a reason.
        if matches!(parse_push("push", &request.body), Ok(WebhookEvent::Push(_))) {
            parsed += 1;
        }
    }
    println!("{accepted} accepted; of the bodies, {parsed} are pushes to the parser");
    assert_eq!(accepted, 0);
    assert!(parsed > 0, "the mutations reach no further than the outermost brace");
}

/// Returns names that lead out of a folder, or seem to.
fn name(random: &mut Random) -> String {
    const PARTS: [&str; 14] = [
        "..",
        ".",
        "",
        "...",
        "..././",
        "a",
        "b.yaml",
        "\\..",
        "C:",
        "/etc",
        "~",
        "a\u{0}b",
        "top",
        "\u{2e}\u{2e}/x",
    ];
    // A single refused name refuses the whole archive, so most names are good ones.
    if !random.once_in(4) {
        return format!("a{}/b{}.yaml", random.below(9), random.below(9));
    }
    let parts: Vec<&str> = (0..=random.below(4)).map(|_| *random.pick(&PARTS)).collect();
    let between = *random.pick(&["/", "//", "\\"]);
    parts.join(between)
}

fn hostile_tarball(random: &mut Random) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for _ in 0..=random.below(4) {
        let kinds = [
            EntryType::Regular,
            EntryType::Regular,
            EntryType::Regular,
            EntryType::Regular,
            EntryType::Regular,
            EntryType::Regular,
            EntryType::Symlink,
            EntryType::Link,
            EntryType::Directory,
            EntryType::Char,
            EntryType::GNULongName,
            EntryType::GNUSparse,
        ];
        let mut header = Header::new_ustar();
        let name = if random.once_in(2) { format!("top/{}", name(random)) } else { name(random) };
        for (field, text) in [(0, name.as_bytes()), (1, b"../../etc/passwd".as_slice())] {
            let old = header.as_old_mut();
            let into: &mut [u8] = if field == 0 { &mut old.name } else { &mut old.linkname };
            let length = text.len().min(into.len());
            into[..length].copy_from_slice(&text[..length]);
        }
        let content = vec![b'x'; random.below(600)];
        header.set_entry_type(*random.pick(&kinds));
        header.set_size(if random.once_in(9) { random.next() >> 8 } else { content.len() as u64 });
        header.set_mode(0o4777);
        header.set_cksum();
        tar.append(&header, content.as_slice()).unwrap();
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&tar.into_inner().unwrap()).unwrap();
    gzip.finish().unwrap()
}

fn hostile_zip(random: &mut Random) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for _ in 0..=random.below(4) {
        if random.once_in(4) {
            drop(zip.add_symlink(name(random), "../../etc/passwd", SimpleFileOptions::default()));
        } else if zip.start_file(name(random), SimpleFileOptions::default()).is_ok() {
            zip.write_all(&vec![b'x'; random.below(600)]).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

/// Returns true if a path remains below its folder, on this and on other systems.
fn stays_below(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
        && !path.contains(['\\', '\0'])
}

#[test]
fn no_hostile_archive_leads_out_of_its_folder() {
    let (count, mut random) = drawn("archives", ARCHIVES);
    let good = pack(&[("a/template.yaml".to_owned(), b"Resources: {}".to_vec())].into()).unwrap();
    let (mut escapes, mut read) = (0, 0);
    for number in 0..count {
        let files = if number % 2 == 0 {
            let tarball = hostile_tarball(&mut random);
            let tarball = if random.once_in(4) { mutated(&mut random, &tarball) } else { tarball };
            unpack_tarball(&tarball, &Limits::DEFAULT).ok().map(|tarball| tarball.files)
        } else {
            let zip = if random.once_in(3) { mutated(&mut random, &good) } else { hostile_zip(&mut random) };
            unpack(&zip, &Limits::DEFAULT).ok()
        };
        for path in files.iter().flat_map(|files| files.keys()) {
            read += 1;
            escapes += u64::from(!stays_below(path));
        }
    }
    println!("{escapes} escapes; {read} files were read");
    assert_eq!(escapes, 0);
    assert!(
        read > count / 20,
        "only {read} files were read: too many archives are refused before a name is judged"
    );
}

/// Networks that no check may reach without a setting: the machine itself, its metadata, and private ones.
const FORBIDDEN: [(u32, u32); 8] = [
    (0x7f00_0000, 8),
    (0xa9fe_0000, 16),
    (0x0a00_0000, 8),
    (0xac10_0000, 12),
    (0xc0a8_0000, 16),
    (0x6440_0000, 10),
    (0x0000_0000, 8),
    (0xe000_0000, 4),
];

/// Returns a forbidden address, plain or within an address of IPv6.
fn forbidden(random: &mut Random) -> IpAddr {
    let (network, length) = *random.pick(&FORBIDDEN);
    let host = u32::try_from(random.next() >> 32).unwrap() & (u32::MAX >> length);
    let inner = Ipv4Addr::from_bits(network | host);
    let [a, b, c, d] = inner.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let dress: [u16; 8] = match random.below(9) {
        0 => [0, 0, 0, 0, 0, 0xffff, high, low],
        1 => [0, 0, 0, 0, 0, 0, high, low],
        2 => [0x64, 0xff9b, 0, 0, 0, 0, high, low],
        3 => [0x2002, high, low, 0, 0, 0, 0, 1],
        4 => [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254],
        5 => [0xfe80, 0, 0, 0, high, low, high, low],
        _ => return inner.into(),
    };
    Ipv6Addr::from(dress).into()
}

#[test]
fn no_check_connects_to_a_forbidden_address() {
    let (count, mut random) = drawn("addresses", ADDRESSES);
    let admission = Admission::new("ci".parse().unwrap(), BTreeSet::new(), None);
    let public: IpAddr = "8.8.8.8".parse().unwrap();
    assert_eq!(admission.admit("x", &[public]), Ok(()));
    let mut connections = 0;
    for _ in 0..count {
        let address = forbidden(&mut random);
        // A name with one public address and one forbidden address is refused as a whole.
        let addresses = if random.once_in(2) { vec![public, address] } else { vec![address] };
        connections += u64::from(admission.admit("x", &addresses).is_ok());
    }
    println!("{connections} connections");
    assert_eq!(connections, 0);
    // The settings of a stage admit private addresses, and never the metadata of the machine.
    let wide = Admission::new("ci".parse().unwrap(), [Reach::Private, Reach::Loopback].into(), None);
    assert!(wide.admit("x", &["169.254.169.254".parse().unwrap()]).is_err());
}
