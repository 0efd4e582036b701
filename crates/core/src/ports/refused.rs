//! The words of executors for a host key that was not accepted, so that all of them say the same.

use super::Target;

/// How a person finds out whether a key is the host's.
const COMPARE: &str = "compare the fingerprint with what the machine itself says (on its console: `ssh-keygen -lf \
                       /etc/ssh/ssh_host_ed25519_key.pub`)";

/// No line has a key of the host. `name` is the host as known_hosts names it, `offered` the key with its fingerprint,
/// `file` where a line would stand, `add` what makes the key known.
pub fn unknown(label: &str, name: &str, offered: &str, file: &str, add: &str) -> String {
    format!(
        "the host key of {label} is not known: {name} offered {offered}, and {file} has no line for it. Do not just \
         accept it: {COMPARE}; when they are equal: {add}"
    )
}

/// A line has another key of the host. `place` is `FILE:LINE`.
pub fn changed(label: &str, name: &str, offered: &str, place: &str, add: &str) -> String {
    let file = place.rsplit_once(':').map_or(place, |(file, _)| file);
    format!(
        "the host key of {label} has changed: {name} offered {offered}, and {place} has another. Either the machine \
         was installed anew or someone is in between; {COMPARE}; when they are equal: `ssh-keygen -f \"{file}\" -R \
         \"{name}\"`, then {add}"
    )
}

/// A line says that the key is revoked; `place` says where it stands.
pub fn revoked(label: &str, offered: &str, place: &str) -> String {
    format!(
        "the host key of {label} is marked as revoked in {place}: it offered {offered}. Whoever has that key can pretend \
         to be the host; give the host a new one"
    )
}

/// The record has another key of the host. `scan` prints the keys that it offers.
pub fn not_the_pinned(label: &str, offered: &str, target: &Target, scan: &str) -> String {
    let (name, pinned) = (&target.name, target.host_key.as_ref());
    let pinned = pinned.map_or_else(String::new, |key| format!("{} {}", key.algorithm(), key.fingerprint()));
    format!(
        "the host key of {label} is not the one that is pinned in the record: it offered {offered}, pinned is {pinned}. \
         Either the machine was installed anew or someone is in between; {COMPARE}; when they are equal: `uphaul hosts \
         edit {name} --host-key \"KEY\"` with the line that {scan} prints"
    )
}
