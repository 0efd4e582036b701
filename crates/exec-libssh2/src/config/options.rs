//! What a keyword of ssh_config sets. The first value counts, except where values are gathered.

use std::collections::BTreeSet;

use crate::dial::Family;

use super::pattern;
use super::words::Line;

/// Values for one host, as they stand in the files; tokens are not replaced yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) hostname: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) identity: Vec<String>,
    pub(crate) certificate: Vec<String>,
    pub(crate) identities_only: Option<bool>,
    pub(crate) identity_agent: Option<String>,
    /// Where `ProxyJump` leads, or `none`.
    pub(crate) jump: Option<String>,
    /// `ProxyCommand none` stands before any other proxy.
    pub(crate) no_proxy_command: bool,
    pub(crate) known_hosts: Option<Vec<String>>,
    pub(crate) global_known_hosts: Option<Vec<String>>,
    pub(crate) host_key_alias: Option<String>,
    pub(crate) hash_known_hosts: Option<bool>,
    pub(crate) family: Option<Family>,
    pub(crate) kex: Option<String>,
    pub(crate) ciphers: Option<String>,
    pub(crate) macs: Option<String>,
    pub(crate) host_key_algorithms: Option<String>,
    /// What keys we log in with may be.
    pub(crate) accepted: Option<String>,
    /// Bits that an RSA key must have, the host's or ours.
    pub(crate) rsa_min: Option<u32>,
    pub(crate) ignore_unknown: Option<String>,
    /// Seconds; inside, nothing: `none`, or 0.
    pub(crate) connect_timeout: Option<Option<u32>>,
    /// The same.
    pub(crate) alive_interval: Option<Option<u32>>,
    pub(crate) alive_count: Option<u32>,
    /// `StrictHostKeyChecking` is `yes`. The other values are laxer than what Uphaul does, or ask somebody.
    pub(crate) strict: Option<bool>,
    /// Keywords that are not kept above, and of which a value was harmless: the first one counts.
    pub(crate) harmless: BTreeSet<String>,
}

/// What came of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It is done, or has no meaning here.
    Done,
    /// It would change where or how we connect, and cannot be done.
    Cannot(&'static str),
    /// It makes no sense.
    Wrong(String),
}

/// Keywords without a meaning for what Uphaul does, or that Uphaul decides itself with every executor: forwardings,
/// terminals, questions, what is printed, other ways to log in, and the sharing of connections.
const PASSED_OVER: &[&str] = &[
    "addkeystoagent",
    "batchmode",
    "canonicaldomains",
    "canonicalizefallbacklocal",
    "canonicalizemaxdots",
    "canonicalizepermittedcnames",
    // No certificate of a host is accepted here at all: no list of who may sign one is stricter.
    "casignaturealgorithms",
    "challengeresponseauthentication",
    "channeltimeout",
    "cipher",
    "clearallforwardings",
    "compression",
    "compressionlevel",
    "connectionattempts",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "dynamicforward",
    "enableescapecommandline",
    "enablesshkeysign",
    "escapechar",
    "exitonforwardfailure",
    "fingerprinthash",
    "forkafterauthentication",
    "forwardagent",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "gssapiauthentication",
    "gssapiclientidentity",
    "gssapidelegatecredentials",
    "gssapikeyexchange",
    "gssapikexalgorithms",
    "gssapirenewalforcesrekey",
    "gssapiserveridentity",
    "gssapitrustdns",
    "hostbasedacceptedalgorithms",
    "hostbasedauthentication",
    "hostbasedkeytypes",
    "ipqos",
    "kbdinteractiveauthentication",
    "kbdinteractivedevices",
    "localcommand",
    "localforward",
    "loglevel",
    "logverbose",
    "nohostauthenticationforlocalhost",
    "numberofpasswordprompts",
    "obscurekeystroketiming",
    "passwordauthentication",
    "permitlocalcommand",
    "permitremoteopen",
    "protocol",
    "proxyusefdpass",
    "rekeylimit",
    "remotecommand",
    "remoteforward",
    "requesttty",
    "rhostsrsaauthentication",
    "rsaauthentication",
    "securitykeyprovider",
    "sendenv",
    "sessiontype",
    "smartcarddevice",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "syslogfacility",
    "tag",
    "tcpkeepalive",
    "tunnel",
    "tunneldevice",
    "updatehostkeys",
    "useprivilegedport",
    "userkeychain",
    "usekeychain",
    "useroaming",
    "visualhostkey",
    "warnweakcrypto",
    "xauthlocation",
    "verifyhostkeydns",
    "versionaddendum",
];

/// Keywords that are known here and have one value.
const ONE_VALUE: &[&str] = &[
    "addressfamily",
    "certificatefile",
    "checkhostip",
    "ciphers",
    "connecttimeout",
    "hashknownhosts",
    "hostkeyalgorithms",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "ignoreunknown",
    "kexalgorithms",
    "macs",
    "port",
    "pubkeyacceptedalgorithms",
    "pubkeyacceptedkeytypes",
    "pubkeyauthentication",
    "requiredrsasize",
    "serveralivecountmax",
    "serveraliveinterval",
    "stricthostkeychecking",
    "user",
];

impl Options {
    /// Takes a line that counts for the host.
    pub(crate) fn apply(&mut self, line: &Line) -> Applied {
        let keyword = line.keyword.as_str();
        if PASSED_OVER.contains(&keyword) {
            return Applied::Done;
        }
        let Some(first) = line.args.first().filter(|arg| !arg.is_empty()) else {
            return if self.is_ignored(keyword) {
                Applied::Done
            } else {
                Applied::Wrong(format!("{keyword} has no value"))
            };
        };
        if line.args.len() > 1 && ONE_VALUE.contains(&keyword) {
            return Applied::Wrong(format!(
                "{keyword} has more than one value; does one with blanks miss its quotes?"
            ));
        }
        let text = || first.clone();
        match keyword {
            "hostname" => set(&mut self.hostname, Ok(text())),
            "user" => set(&mut self.user, Ok(text())),
            "port" => set(&mut self.port, port(first)),
            "identityfile" => gather(&mut self.identity, text()),
            "certificatefile" => gather(&mut self.certificate, text()),
            "identitiesonly" => set(&mut self.identities_only, flag(first)),
            "identityagent" => set(&mut self.identity_agent, Ok(text())),
            "proxyjump" => set(&mut self.jump, Ok(text())),
            "userknownhostsfile" => set(&mut self.known_hosts, files(&line.args)),
            "globalknownhostsfile" => set(&mut self.global_known_hosts, files(&line.args)),
            "hostkeyalias" => set(&mut self.host_key_alias, Ok(text())),
            "hashknownhosts" => set(&mut self.hash_known_hosts, flag(first)),
            "addressfamily" => set(&mut self.family, family(first)),
            "kexalgorithms" => set(&mut self.kex, Ok(text())),
            "ciphers" => set(&mut self.ciphers, Ok(text())),
            "macs" => set(&mut self.macs, Ok(text())),
            "hostkeyalgorithms" => set(&mut self.host_key_algorithms, Ok(text())),
            "pubkeyacceptedalgorithms" | "pubkeyacceptedkeytypes" => set(&mut self.accepted, Ok(text())),
            "requiredrsasize" => set(&mut self.rsa_min, number(first)),
            "ignoreunknown" => set(&mut self.ignore_unknown, Ok(text())),
            "connecttimeout" => set(&mut self.connect_timeout, time(first)),
            "serveraliveinterval" => set(&mut self.alive_interval, time(first)),
            "serveralivecountmax" => set(&mut self.alive_count, number(first)),
            "stricthostkeychecking" => set(&mut self.strict, strict(first)),
            "proxycommand" => self.proxy_command(&line.args),
            keyword if self.harmless.contains(keyword) => Applied::Done,
            keyword => {
                let applied = self.other(keyword, first, &line.args);
                if applied == Applied::Done {
                    self.harmless.insert(keyword.to_owned());
                }
                applied
            }
        }
    }

    /// The first of `ProxyCommand` and `ProxyJump` counts, but for a `ProxyJump none`: a command after it counts.
    fn proxy_command(&mut self, args: &[String]) -> Applied {
        let is_none = |text: &str| text.eq_ignore_ascii_case("none");
        let jumps = self.jump.as_deref().is_some_and(|jump| !is_none(jump));
        if jumps || self.no_proxy_command {
            return Applied::Done;
        }
        if !matches!(args, [one] if is_none(one)) {
            return Applied::Cannot("ProxyCommand");
        }
        self.no_proxy_command = true;
        set(&mut self.jump, Ok("none".to_owned()))
    }

    /// Keywords that only do no harm with some values.
    fn other(&self, keyword: &str, first: &str, all: &[String]) -> Applied {
        let is = |values: &[&str]| values.contains(&first.to_lowercase().as_str());
        let none = || is(&["none"]);
        let no = || is(&["no", "false"]);
        let (harmless, name) = match keyword {
            "canonicalizehostname" => (no(), "CanonicalizeHostname"),
            "bindaddress" => (false, "BindAddress"),
            "bindinterface" => (false, "BindInterface"),
            "knownhostscommand" => (none(), "KnownHostsCommand"),
            "revokedhostkeys" => (none(), "RevokedHostKeys"),
            "pkcs11provider" => (none(), "PKCS11Provider"),
            "checkhostip" => (no(), "CheckHostIP"),
            // What a terminal can do means nothing where there is none.
            "setenv" => {
                (all.iter().all(|pair| pair.starts_with("TERM=") || pair.starts_with("COLORTERM=")), "SetEnv")
            }
            "pubkeyauthentication" => (!no(), "PubkeyAuthentication no"),
            "preferredauthentications" => {
                (first.split(',').any(|way| way == "publickey"), "PreferredAuthentications without publickey")
            }
            _ if self.is_ignored(keyword) => (true, ""),
            _ => return Applied::Wrong(format!("there is no keyword {keyword}")),
        };
        if harmless { Applied::Done } else { Applied::Cannot(name) }
    }

    fn is_ignored(&self, keyword: &str) -> bool {
        self.ignore_unknown.as_deref().is_some_and(|patterns| pattern::list(patterns, keyword))
    }
}

/// The first value counts; a later one is not even read.
fn set<T>(place: &mut Option<T>, value: Result<T, String>) -> Applied {
    if place.is_some() {
        return Applied::Done;
    }
    match value {
        Ok(value) => {
            *place = Some(value);
            Applied::Done
        }
        Err(why) => Applied::Wrong(why),
    }
}

fn gather(place: &mut Vec<String>, value: String) -> Applied {
    if !place.contains(&value) {
        place.push(value);
    }
    Applied::Done
}

fn files(words: &[String]) -> Result<Vec<String>, String> {
    if words.len() > 1 && words.iter().any(|word| word.eq_ignore_ascii_case("none")) {
        return Err("none stands beside other files".into());
    }
    Ok(words.to_vec())
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("{text:?} is neither yes nor no")),
    }
}

/// Reads the number of a port.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("{text:?} is not a port"))
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// A time as ssh has it: seconds, or numbers with units (`1m30s`). Nothing: no limit.
fn time(text: &str) -> Result<Option<u32>, String> {
    if text == "none" {
        return Ok(None);
    }
    let bad = || format!("{text:?} is no time: seconds, or numbers with s, m, h, d, w");
    let (mut total, mut digits) = (0_u32, String::new());
    for c in text.chars() {
        let unit: u32 = match c.to_ascii_lowercase() {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            'w' => 7 * 24 * 60 * 60,
            _ => return Err(bad()),
        };
        let more =
            digits.parse::<u32>().ok().and_then(|n| n.checked_mul(unit)).and_then(|n| total.checked_add(n));
        total = more.ok_or_else(bad)?;
        digits.clear();
    }
    if !digits.is_empty() {
        total = digits.parse::<u32>().ok().and_then(|n| total.checked_add(n)).ok_or_else(bad)?;
    }
    Ok(Some(total).filter(|seconds| *seconds > 0))
}

fn strict(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" | "off" | "ask" | "accept-new" => Ok(false),
        _ => Err(format!("{text:?} is none of yes, no, ask, off, accept-new")),
    }
}

fn family(text: &str) -> Result<Family, String> {
    match text.to_lowercase().as_str() {
        "any" => Ok(Family::Any),
        "inet" => Ok(Family::V4),
        "inet6" => Ok(Family::V6),
        _ => Err(format!("{text:?} is none of any, inet, inet6")),
    }
}
