//! Scalars: when two different texts are one value.

use super::compare::Comparer;
use super::context::Context;
use super::path::Path;
use super::rules::{Origin, Rule, RuleKind};
use super::verdict::Comparison;
use regex::Regex;
use serde_json::{Map, Value};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

/// Returns a scalar as text, or `None` for a list or an object.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns both sides as JSON values, if at least one of them is a text of JSON.
pub(super) fn parsed(wanted: &Value, found: &Value) -> Option<(Value, Value)> {
    if !wanted.is_string() && !found.is_string() {
        return None;
    }
    let parse = |value: &Value| match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => serde_json::from_str(text).ok(),
        Value::Object(_) | Value::Array(_) => Some(value.clone()),
        _ => None,
    };
    Some((parse(wanted)?, parse(found)?))
}

/// Returns the rule by which two scalars are equal.
pub(super) fn equal(
    comparer: &Comparer<'_>,
    path: &Path,
    wanted: &Value,
    found: &Value,
) -> Option<(RuleKind, Origin)> {
    let (wanted_text, found_text) = (text(wanted)?, text(found)?);
    if is_one_number(wanted, found) || is_one_switch(&wanted_text, &found_text) || wanted_text == found_text {
        return Some((RuleKind::Expression, Origin::Form("a text for a number or a switch")));
    }
    let rules = comparer.rules.at(&comparer.listed(path));
    let by_rule = rules.iter().find(|rule| follows(rule, comparer.context, &wanted_text, &found_text));
    if let Some(rule) = by_rule.or_else(|| together(&rules, &wanted_text, &found_text)) {
        return Some((rule.kind, rule.origin));
    }
    by_form(comparer.context, &wanted_text, &found_text)
}

fn by_form(context: &Context, wanted: &str, found: &str) -> Option<(RuleKind, Origin)> {
    if is_one_thing(context, wanted, found) {
        return Some((
            RuleKind::Arn,
            Origin::Form("the name, the id or the alias, and the ARN that ends in it"),
        ));
    }
    if is_one_group(context, wanted, found) || is_one_choice(wanted, found) {
        return Some((
            RuleKind::Set,
            Origin::Form("EC2 has no order of groups and subnets, and names or ids of them"),
        ));
    }
    if wanted.trim_end() == found.trim_end() {
        return Some((RuleKind::TrailingSpace, Origin::Form("white space at the end has no meaning")));
    }
    if same(rate(wanted), rate(found))
        || same(instant(wanted), instant(found))
        || same(ipv6(wanted), ipv6(found))
    {
        return Some((RuleKind::Expression, Origin::Form("two texts of one rate, time or address")));
    }
    None
}

/// Returns true for the name and the id of one security group.
fn is_one_group(context: &Context, wanted: &str, found: &str) -> bool {
    context.group_names.get(found).is_some_and(|name| name == wanted)
}

/// Returns true for two texts that list the same ids, separated by commas.
fn is_one_choice(wanted: &str, found: &str) -> bool {
    let ids = |text: &str| {
        let mut ids: Vec<String> = text.split(',').map(|id| id.trim().to_owned()).collect();
        let values: Vec<Value> = ids.iter().cloned().map(Value::String).collect();
        ids.sort();
        set_form(&values.iter().collect::<Vec<_>>()).map(|_| ids)
    };
    wanted.contains(',') && same(ids(wanted), ids(found))
}

/// Returns true for two equal values. Two sides without a value are not equal.
pub(super) fn same<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
    one.is_some() && one == other
}

/// Returns true if one rule makes the values equal.
fn follows(rule: &Rule, context: &Context, wanted: &str, found: &str) -> bool {
    match rule.kind {
        RuleKind::Version => is_completed_version(rule.argument, wanted, found),
        RuleKind::ShortVersion => wanted.split('.').take(2).eq(found.split('.')),
        RuleKind::VersionPattern => is_of_pattern(wanted, found),
        RuleKind::Decimal => same(wanted.parse::<f64>().ok(), found.parse().ok()),
        RuleKind::Network => same(network(wanted), network(found)),
        RuleKind::Protocol => protocol(wanted) == protocol(found),
        RuleKind::Prefixed => found.rsplit_once(':').is_some_and(|(_, name)| name == wanted),
        RuleKind::PublicKey => found.split_whitespace().take(2).eq(wanted.split_whitespace().take(2)),
        RuleKind::Arn => is_one_thing(context, wanted, found) || is_one_end(wanted, found),
        RuleKind::AnyKey => key_id(context, wanted).is_none() && key_id(context, found).is_some(),
        _ => folded(rule, wanted).is_some() && folded(rule, wanted) == stored(rule, found),
    }
}

/// Returns the text that a rule leaves of a live text. AWS has stored it in its case already.
fn stored(rule: &Rule, text: &str) -> Option<String> {
    match rule.kind {
        RuleKind::LowerCase | RuleKind::UpperCase => Some(text.to_owned()),
        _ => folded(rule, text),
    }
}

/// Returns the text that a rule leaves of a declared text, for the rules that change texts.
fn folded(rule: &Rule, text: &str) -> Option<String> {
    match rule.kind {
        RuleKind::Case | RuleKind::LowerCase => Some(text.to_lowercase()),
        RuleKind::UpperCase => Some(text.to_uppercase()),
        RuleKind::TrailingDot => Some(text.strip_suffix('.').unwrap_or(text).replace("\\052", "*")),
        RuleKind::TrailingSpace => Some(text.trim_end().to_owned()),
        RuleKind::Dash => Some(text.replace('-', "_")),
        _ => None,
    }
}

/// Returns the last of several rules that make the values equal together.
fn together<'a>(rules: &'a [Rule], wanted: &str, found: &str) -> Option<&'a Rule> {
    let last = rules.iter().rev().find(|rule| folded(rule, "").is_some())?;
    let wanted = rules.iter().fold(wanted.to_owned(), |text, rule| folded(rule, &text).unwrap_or(text));
    let found = rules.iter().fold(found.to_owned(), |text, rule| stored(rule, &text).unwrap_or(text));
    (wanted == found).then_some(last)
}

/// Returns true for two writings of one number, of which one is no text.
fn is_one_number(wanted: &Value, found: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::String(text) if text.len() < 16 && !text.starts_with('+') => text.parse::<f64>().ok(),
        value => value.as_f64(),
    };
    (wanted.is_number() || found.is_number()) && same(number(wanted), number(found))
}

fn is_one_switch(wanted: &str, found: &str) -> bool {
    ["true", "false"].iter().any(|word| wanted.eq_ignore_ascii_case(word))
        && wanted.eq_ignore_ascii_case(found)
}

fn is_completed_version(argument: &str, wanted: &str, found: &str) -> bool {
    let wanted = wanted.strip_suffix(".x").unwrap_or(wanted);
    found.strip_prefix(wanted).is_some_and(|rest| rest.starts_with(['.', '-']))
        || (argument == "latest"
            && wanted.eq_ignore_ascii_case("latest")
            && found.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_of_pattern(wanted: &str, found: &str) -> bool {
    let (wanted, found): (Vec<_>, Vec<_>) = (wanted.split('.').collect(), found.split('.').collect());
    wanted.len() == found.len() && wanted.iter().zip(&found).all(|(one, other)| *one == "x" || one == other)
}

/// Returns true if one side is an ARN of the own account and region, and the other the name or id in it.
fn is_one_thing(context: &Context, wanted: &str, found: &str) -> bool {
    if same(key_id(context, wanted), key_id(context, found)) {
        return true;
    }
    match (wanted.starts_with("arn:"), found.starts_with("arn:")) {
        (true, false) => is_arn_of(context, wanted, found),
        (false, true) => is_arn_of(context, found, wanted),
        (true, true) => is_one_log_group(wanted, found) || is_one_secret(wanted, found),
        (false, false) => false,
    }
}

/// Returns true for the ARN of a log group with and without its streams.
fn is_one_log_group(wanted: &str, found: &str) -> bool {
    wanted.contains(":log-group:") && wanted.trim_end_matches(":*") == found.trim_end_matches(":*")
}

/// Returns true for the ARN of a secret with and without the six characters that Secrets Manager adds to the name.
fn is_one_secret(wanted: &str, found: &str) -> bool {
    let added = found.strip_prefix(wanted).and_then(|rest| rest.strip_prefix('-'));
    wanted.contains(":secret:")
        && added.is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_arn_of(context: &Context, arn: &str, name: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, _, region, account, resource] = parts[..] else { return false };
    let is_own = |own: &str, found: &str| found.is_empty() || found == own;
    let is_end = resource == name
        || resource.strip_suffix(name).is_some_and(|rest| rest.ends_with(['/', ':']))
        || resource
            .strip_suffix(":*")
            .and_then(|group| group.strip_suffix(name))
            .is_some_and(|rest| rest.ends_with(':'));
    !name.is_empty()
        && is_end
        && is_own(&context.region, region)
        && (is_own(&context.account, account) || account == "aws" || name.contains(account))
}

/// Returns true if one side is the end of the other: the last name of an ARN or of a path, with or without a revision.
fn is_one_end(wanted: &str, found: &str) -> bool {
    let ends_in = |long: &str, short: &str| {
        !short.is_empty() && long.strip_suffix(short).is_some_and(|rest| rest.ends_with(['/', ':']))
    };
    let plain =
        found.rsplit_once(':').filter(|(_, revision)| revision.bytes().all(|byte| byte.is_ascii_digit()));
    ends_in(wanted, found)
        || ends_in(found, wanted)
        || plain.is_some_and(|(name, _)| !wanted.contains(':') && (name == wanted || ends_in(name, wanted)))
}

/// Returns the id of the key of KMS that a text names: an id, an alias, or the ARN of either.
fn key_id(context: &Context, text: &str) -> Option<String> {
    let resource = if text.starts_with("arn:") { text.splitn(6, ':').nth(5)? } else { text };
    if resource.starts_with("alias/") {
        return context.key_aliases.get(resource).cloned();
    }
    let id = resource.strip_prefix("key/").unwrap_or(resource);
    is_key_id(id).then(|| id.to_owned())
}

fn is_key_id(text: &str) -> bool {
    static ID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("^(mrk-)?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$").expect("a regular expression")
    });
    ID.is_match(text)
}

/// Returns true if the template names a key by an alias whose key the context does not know.
pub(super) fn is_unknown_alias(context: &Context, wanted: &Value, found: &Value) -> bool {
    let (Some(wanted), Some(found)) = (wanted.as_str(), found.as_str()) else { return false };
    let is_alias = wanted.starts_with("alias/") || (wanted.starts_with("arn:") && wanted.contains(":alias/"));
    is_alias && key_id(context, wanted).is_none() && key_id(context, found).is_some()
}

/// Returns true if CloudFormation lost letters: it returns a template with `?` for each letter outside of ASCII.
pub(super) fn is_masked(wanted: &Value, found: &Value) -> bool {
    let (Some(wanted), Some(found)) = (wanted.as_str(), found.as_str()) else { return false };
    !found.is_ascii()
        && wanted.chars().count() == found.chars().count()
        && wanted
            .chars()
            .zip(found.chars())
            .all(|(one, other)| one == other || (one == '?' && !other.is_ascii()))
}

/// Returns a rate in minutes.
fn rate(text: &str) -> Option<u64> {
    let (number, unit) =
        text.trim().strip_prefix("rate(")?.strip_suffix(')')?.trim().split_once(char::is_whitespace)?;
    let minutes = match unit.trim().trim_end_matches('s') {
        "minute" => 1,
        "hour" => 60,
        "day" => 24 * 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(minutes)
}

/// Returns a time without the forms of its zone and its fraction.
fn instant(text: &str) -> Option<String> {
    static TIME: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d)(?::(\d\d))?(?:\.0+)?(?:Z|[+-]00:?00)?$")
            .expect("a regular expression")
    });
    TIME.captures(text)
        .map(|found| format!("{}:{}", &found[1], found.get(2).map_or("00", |seconds| seconds.as_str())))
}

/// Returns an address or a network of version 6 in its shortest form.
fn ipv6(text: &str) -> Option<String> {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: Ipv6Addr = address.parse().ok()?;
    Some(format!("{address}/{}", length.unwrap_or_default()))
}

/// Returns the first address of a network, and its length.
fn network(text: &str) -> Option<(u128, u32)> {
    let (address, length) = text.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let (bits, size) = match (address.parse::<Ipv4Addr>(), address.parse::<Ipv6Addr>()) {
        (Ok(address), _) => (u128::from(u32::from(address)), 32),
        (_, Ok(address)) => (u128::from(address), 128),
        _ => return None,
    };
    let free = size.max(length) - length;
    Some((bits.checked_shr(free).unwrap_or(0).checked_shl(free).unwrap_or(0), length))
}

fn protocol(text: &str) -> String {
    let text = text.to_lowercase();
    match text.as_str() {
        "1" => "icmp".to_owned(),
        "6" => "tcp".to_owned(),
        "17" => "udp".to_owned(),
        "58" => "icmpv6".to_owned(),
        "all" => "-1".to_owned(),
        _ => text,
    }
}

/// Returns the fold of a port whose rule has a protocol without ports, for which AWS returns no port or -1.
pub(super) fn port(
    comparer: &Comparer<'_>,
    path: &Path,
    wanted: &Map<String, Value>,
    found: Option<&Value>,
) -> Option<Comparison> {
    let rule = comparer.rules.find(&comparer.listed(path), RuleKind::Port)?;
    let protocol = protocol(&wanted.get("IpProtocol").and_then(text)?);
    let is_none = found.is_none_or(|found| found.as_i64() == Some(-1));
    let has_ports = ["tcp", "udp", "icmp", "icmpv6"].contains(&protocol.as_str());
    (is_none && !has_ports).then(|| Comparison::fold(path, RuleKind::Port, rule.origin))
}

/// Returns the comparison of a target group with a forward configuration.
pub(super) fn forward(
    comparer: &Comparer<'_>,
    path: &Path,
    wanted: &Value,
    found: Option<&Value>,
    around: &Map<String, Value>,
) -> Option<Comparison> {
    let rule = comparer.rules.find(&comparer.listed(path), RuleKind::Forward)?;
    let groups = around.get("ForwardConfig")?.get("TargetGroups")?.as_array().filter(|_| found.is_none())?;
    if shifts(comparer, groups) {
        return Some(Comparison::fold(path, rule.kind, rule.origin));
    }
    let [only] = &groups[..] else { return None };
    let mut compared = Comparison::fold(path, rule.kind, rule.origin);
    compared.add(comparer.value(path, wanted, only.get("TargetGroupArn")));
    Some(compared)
}

/// Returns the fold of the target groups between which a deployment controller moves the traffic.
pub(super) fn shifting(comparer: &Comparer<'_>, path: &Path, found: &[Value]) -> Option<Comparison> {
    let rule = comparer.rules.find(&comparer.listed(path), RuleKind::Forward)?;
    shifts(comparer, found).then(|| Comparison::fold(path, rule.kind, rule.origin))
}

fn shifts(comparer: &Comparer<'_>, groups: &[Value]) -> bool {
    let mut arns = groups.iter().map(|group| group.get("TargetGroupArn").and_then(Value::as_str));
    !groups.is_empty()
        && arns.all(|arn| arn.is_some_and(|arn| comparer.context.shifting_target_groups.contains(arn)))
}

/// Returns the form by which a list of texts is a set.
pub(super) fn set_form(members: &[&Value]) -> Option<&'static str> {
    static IDS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("^(subnet|sg|vpc|vpce|rtb|eni|i|acl|igw|tgw|pl|vol)-[0-9a-f]{6,}$")
            .expect("a regular expression")
    });
    static ZONES: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("^[a-z]{2}(-[a-z]+)+-[0-9][a-z]?$").expect("a regular expression"));
    let all = |form: &Regex| {
        !members.is_empty() && members.iter().all(|m| m.as_str().is_some_and(|m| form.is_match(m)))
    };
    if all(&IDS) {
        Some("EC2 has no order of the subnets, groups and networks that a resource is in")
    } else if all(&ZONES) {
        Some("a choice of zones or regions has no order")
    } else {
        None
    }
}
