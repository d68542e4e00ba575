//! Addresses that a check may connect to.
//!
//! The author of a component writes its checks, and the control plane's own account runs them. A check therefore
//! reaches only public addresses. The stage can allow more (`checks_may_reach`), but on AWS never the addresses of the
//! machine itself: its loopback and its metadata service.

use crate::model::ids::StageName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use strum::{Display, EnumString};
use url::Url;

/// A word of `checks_may_reach`: addresses apart from the public ones that a stage may allow its checks to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = InvalidReach, parse_err_fn = invalid_reach)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Reach {
    /// Private networks: RFC 1918, the shared space of RFC 6598, and IPv6's unique local addresses.
    Private,
    /// The machine that runs the check. Only the local cloud honours it, on the developer's own machine.
    Loopback,
}

/// A word that is not a [`Reach`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write \"private\" or \"loopback\"")]
pub struct InvalidReach;

fn invalid_reach(_: &str) -> InvalidReach {
    InvalidReach
}

/// The addresses that the checks of one stage may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    stage: StageName,
    reach: BTreeSet<Reach>,
    local: bool,
}

impl Admission {
    /// Returns the admission of `stage` with its `reach`. `endpoint` is the endpoint override of the AWS clients:
    /// `None` on AWS, and a loopback address in the local cloud. A loopback endpoint marks the local cloud, and is
    /// useless anywhere else.
    pub fn new(stage: StageName, reach: BTreeSet<Reach>, endpoint: Option<&str>) -> Self {
        Self { stage, reach, local: endpoint.is_some_and(is_loopback) }
    }

    /// Checks that a check may connect to `host`. `addresses` are all its addresses; each must be allowed, because the
    /// connection may use any of them.
    ///
    /// # Errors
    /// A sentence that names the refused address, the reason, and the setting that would allow it.
    pub fn admit(&self, host: &str, addresses: &[IpAddr]) -> Result<(), String> {
        addresses.iter().try_for_each(|address| self.admit_one(host, *address))
    }

    fn admit_one(&self, host: &str, address: IpAddr) -> Result<(), String> {
        let (needed, what) = match kind(address) {
            Kind::Public => return Ok(()),
            Kind::Never(what) => (None, what),
            Kind::Loopback if self.local => (Some(Reach::Loopback), "a loopback address"),
            Kind::Loopback => (None, "a loopback address (on AWS, the function that checks)"),
            Kind::Private => (Some(Reach::Private), "a private address"),
        };
        if needed.is_some_and(|needed| self.reach.contains(&needed)) {
            return Ok(());
        }
        let address = address.to_string();
        let place = if host == address { address } else { format!("{host} ({address})") };
        let stage = &self.stage;
        Err(match needed {
            None => format!("{place} is {what}, which no setting allows a check to reach"),
            Some(needed) => format!(
                "{place} is {what}, which checks of stage {stage} may not reach; only \
                 checks_may_reach = [\"{needed}\"] of that stage in stages.toml allows it"
            ),
        })
    }
}

fn is_loopback(endpoint: &str) -> bool {
    match Url::parse(endpoint).ok().as_ref().and_then(Url::host) {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Kind of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    Loopback,
    /// Never allowed; the text names the kind with an article.
    Never(&'static str),
}

fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

/// Classifies an IPv4 address. <https://www.iana.org/assignments/iana-ipv4-special-registry/>
fn kind_v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        [0, ..] => Kind::Never("an unspecified address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Kind::Private,
        [127, ..] => Kind::Loopback,
        [169, 254, ..] => Kind::Never("a link-local address, such as that of a metadata service"),
        [192, 0, 0, _] | [192, 88, 99, _] => Kind::Never("an address of a protocol"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Kind::Never("an address of documentation"),
        [198, 18..=19, ..] => Kind::Never("an address of benchmarks"),
        [224..=239, ..] => Kind::Never("a multicast address"),
        [255, 255, 255, 255] => Kind::Never("the broadcast address"),
        [240..=255, ..] => Kind::Never("a reserved address"),
        _ => Kind::Public,
    }
}

/// Classifies an IPv6 address. Only 2000::/3 is routed on the internet, so any network not named here is refused.
/// <https://www.iana.org/assignments/iana-ipv6-special-registry/>
fn kind_v6(address: Ipv6Addr) -> Kind {
    const TUNNEL: Kind = Kind::Never("an IPv6 address that wraps an IPv4 one");
    // The operating system connects to the embedded address, so that address decides.
    if let Some(within) = address.to_ipv4_mapped() {
        return kind_v4(within);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Never("an unspecified address"),
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => TUNNEL,
        // NAT64 (RFC 6052) leads from IPv6-only networks to the public IPv4 internet, and to no other network.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => match kind_v4(joined(high, low)) {
            Kind::Public => Kind::Public,
            _ => TUNNEL,
        },
        // The instance metadata service, the resolver and the clock of AWS, inside the private range.
        [0xfd00, 0xec2, ..] => Kind::Never("an address of AWS's own services, such as a metadata service"),
        [0xfc00..=0xfdff, ..] => Kind::Private,
        [0xfe80..=0xfebf, ..] => Kind::Never("a link-local address"),
        [0xff00..=0xffff, ..] => Kind::Never("a multicast address"),
        // The range includes Teredo.
        [0x2001, 0..=0x1ff, ..] => Kind::Never("an address of a protocol"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Never("an address of documentation"),
        // 6to4, and ISATAP in any network.
        [0x2002, ..] | [_, _, _, _, 0 | 0x200, 0x5efe, ..] => TUNNEL,
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Never("an address that is not routed on the internet"),
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOCAL: Option<&str> = Some("http://127.0.0.1:4566");

    fn admission(reach: &[Reach], endpoint: Option<&str>) -> Admission {
        Admission::new("ci".parse().unwrap(), reach.iter().copied().collect(), endpoint)
    }

    /// Returns the smallest set that allows `address`, or `None` if no set does.
    fn least(address: IpAddr, endpoint: Option<&str>) -> Option<&'static [Reach]> {
        let ways: [&'static [Reach]; 3] = [&[], &[Reach::Private], &[Reach::Loopback]];
        ways.into_iter().find(|reach| admission(reach, endpoint).admit("x", &[address]).is_ok())
    }

    fn all_least(addresses: &str) -> Vec<(String, Option<&'static [Reach]>)> {
        let each = addresses.split_whitespace();
        each.map(|address| (address.to_owned(), least(address.parse().unwrap(), None))).collect()
    }

    #[test]
    fn row_82_public_addresses_are_reached() {
        let public = "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 \
                      169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.167.255.255 \
                      192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2001:200:: 2600:1f18::1 2a05:d018::1 \
                      3ffe:ffff::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8";
        for (address, least) in all_least(public) {
            assert_eq!(least, Some(&[][..]), "{address}");
        }
    }

    #[test]
    fn row_82_private_addresses_need_the_permission_of_the_stage() {
        let private = "10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 172.16.0.0 172.31.255.255 192.168.0.0 \
                       192.168.255.255 ::ffff:10.1.2.3 ::ffff:192.168.0.1 fc00::1 fd12:3456::1 fdff:ffff::1";
        for (address, least) in all_least(private) {
            assert_eq!(least, Some(&[Reach::Private][..]), "{address}");
        }
    }

    #[test]
    fn row_82_loopback_metadata_and_reserved_addresses_are_refused_on_aws() {
        let never = "0.0.0.0 0.1.2.3 127.0.0.1 127.255.255.255 169.254.0.1 169.254.169.254 169.254.170.2 169.254.170.23 \
                     192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 \
                     239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::2 ::7f00:1 ::10.0.0.1 ::8.8.8.8 \
                     ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:0:10.0.0.1 64:ff9b::10.0.0.1 \
                     64:ff9b::169.254.169.254 64:ff9b:1::8.8.8.8 100::1 fd00:ec2::254 fd00:ec2::23 fe80::1 febf::1 \
                     fec0::1 ff02::1 2001::1 2001:1ff::1 2001:db8::1 2002:a00:1::1 2002:808:808::1 \
                     2600::5efe:10.0.0.1 2600::200:5efe:8.8.8.8 3fff::1 3fff:fff::1 4000::1 5f00::1";
        for (address, least) in all_least(never) {
            assert_eq!(least, None, "{address}");
        }
    }

    #[test]
    fn loopback_needs_the_local_cloud_and_the_permission_of_the_stage() {
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(|a| a.parse().unwrap()) {
            for local in [LOCAL, Some("http://localhost:1"), Some("http://[::1]:1")] {
                assert_eq!(least(address, local), Some(&[Reach::Loopback][..]), "{address} {local:?}");
            }
            let elsewhere = "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com";
            for aws in [None, Some(elsewhere), Some("https://127.0.0.1.example.com"), Some("127.0.0.1")] {
                assert_eq!(least(address, aws), None, "{address} {aws:?}");
            }
        }
        assert_eq!(least("169.254.169.254".parse().unwrap(), LOCAL), None);
    }

    #[test]
    fn a_refusal_names_the_address_the_reason_and_the_setting() {
        let reported = |host: &str, address: &str, endpoint| {
            admission(&[], endpoint).admit(host, &[address.parse().unwrap()]).unwrap_err()
        };
        assert_eq!(
            reported("app.example", "10.0.0.7", None),
            "app.example (10.0.0.7) is a private address, which checks of stage ci may not reach; only \
             checks_may_reach = [\"private\"] of that stage in stages.toml allows it"
        );
        assert!(reported("::1", "::1", LOCAL).contains("checks_may_reach = [\"loopback\"]"));
        assert_eq!(
            reported("127.0.0.1", "127.0.0.1", None),
            "127.0.0.1 is a loopback address (on AWS, the function that checks), which no setting allows a check to \
             reach"
        );
    }

    #[test]
    fn one_refused_address_refuses_the_host() {
        let public: IpAddr = "8.8.8.8".parse().unwrap();
        let metadata: IpAddr = "169.254.169.254".parse().unwrap();
        let all = admission(&[Reach::Private, Reach::Loopback], LOCAL);
        assert_eq!(all.admit("x", &[public, public]), Ok(()));
        for addresses in [[public, metadata], [metadata, public]] {
            assert!(all.admit("x", &addresses).unwrap_err().contains("169.254.169.254"));
        }
    }

    fn special_v4() -> impl Strategy<Value = Ipv4Addr> {
        any::<u32>()
            .prop_map(|bits| {
                let networks =
                    [0x0a00_0000_u32, 0xac10_0000, 0xc0a8_0000, 0x6440_0000, 0x7f00_0000, 0xa9fe_0000];
                let network = networks[bits as usize % networks.len()];
                Ipv4Addr::from_bits(network | bits >> 16)
            })
            .prop_filter("special", |address| kind_v4(*address) != Kind::Public)
    }

    proptest! {
        #[test]
        fn no_special_ipv4_address_passes_inside_an_ipv6_address(
            inner in special_v4(), network in 0x2000_u16..0x4000, subnet in any::<u16>(), last in any::<u16>(),
        ) {
            let [high, low] = [inner.to_bits() >> 16, inner.to_bits() & 0xffff].map(|half| half as u16);
            let dresses = [
                [0, 0, 0, 0, 0, 0xffff, high, low],
                [0, 0, 0, 0, 0, 0, high, low],
                [0, 0, 0, 0, 0xffff, 0, high, low],
                [0x64, 0xff9b, 0, 0, 0, 0, high, low],
                [0x64, 0xff9b, 1, subnet, 0, 0, high, low],
                [0x2002, high, low, subnet, 0, 0, 0, last],
                [0x2001, 0, subnet, last, 0, 0, !high, !low],
                [network, subnet, 0, last, 0, 0x5efe, high, low],
                [network, subnet, 0, last, 0x200, 0x5efe, high, low],
            ];
            for dress in dresses.map(|segments| IpAddr::V6(segments.into())) {
                prop_assert!(admission(&[], None).admit("x", &[dress]).is_err(), "{}", dress);
            }
        }

        #[test]
        fn an_ipv4_address_is_judged_the_same_whether_mapped_or_not(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(kind(address.into()), kind(address.to_ipv6_mapped().into()));
        }

        #[test]
        fn addresses_special_to_the_standard_library_are_never_public(bits in any::<u32>()) {
            let a = Ipv4Addr::from_bits(bits);
            let special = a.is_private() || a.is_loopback() || a.is_link_local() || a.is_multicast()
                || a.is_broadcast() || a.is_documentation() || a.is_unspecified();
            prop_assert!(!special || kind_v4(a) != Kind::Public, "{}", a);
        }
    }
}
