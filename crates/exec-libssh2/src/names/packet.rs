//! A question to a name server, and its answer: RFC 1035, section 4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 12;
const INTERNET: u16 = 1;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    A,
    Aaaa,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
        }
    }
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The name is there, with these addresses of the kind, or none.
    Addresses(Vec<IpAddr>),
    NoSuchName,
}

/// One question, as it travels.
#[derive(Debug)]
pub(crate) struct Question(Vec<u8>);

impl Question {
    pub(crate) fn new(name: &str, kind: Kind) -> Result<Self, String> {
        let mut id = [0; 2];
        getrandom::fill(&mut id).map_err(|error| format!("this machine gives no random bytes: {error}"))?;
        // Recursion is wanted; one question.
        let mut bytes = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
        for label in name.split('.') {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length));
            let (Some(length), true, true) = (length, label.is_ascii(), name.len() <= 253) else {
                return Err(format!("{name:?} is no name that a name server can have"));
            };
            bytes.push(length);
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes.extend_from_slice(&kind.number().to_be_bytes());
        bytes.extend_from_slice(&INTERNET.to_be_bytes());
        Ok(Self(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What the packet says to this question; none where it answers another. An error is what the server says is wrong.
    pub(crate) fn read(&self, packet: &[u8]) -> Option<Result<Answer, String>> {
        let (header, rest) = packet.split_at_checked(HEADER)?;
        let asked = &self.0[HEADER..];
        let (repeated, records) = rest.split_at_checked(asked.len())?;
        let is_answer = header[..2] == self.0[..2] && header[2] & 0x80 != 0 && header[4..6] == [0, 1];
        if !is_answer || !repeated.eq_ignore_ascii_case(asked) {
            return None;
        }
        let answers = u16::from_be_bytes([header[6], header[7]]);
        Some(match header[3] & 0x0f {
            0 => addresses(records, answers, &asked[asked.len() - 4..asked.len() - 2])
                .map(Answer::Addresses)
                .ok_or_else(|| "its answer is cut off".to_owned()),
            3 => Ok(Answer::NoSuchName),
            2 => Err("it cannot tell (SERVFAIL)".to_owned()),
            5 => Err("it does not answer us (REFUSED)".to_owned()),
            code => Err(format!("it answers with the error {code}")),
        })
    }
}

/// Whether the answer is too long for its packet, and has to be asked for over TCP.
pub(crate) fn is_cut(packet: &[u8]) -> bool {
    packet.get(2).is_some_and(|flags| flags & 0x02 != 0)
}

/// The addresses among the records. Those of other kinds lead from one name to the next, which the server has followed.
fn addresses(mut records: &[u8], count: u16, kind: &[u8]) -> Option<Vec<IpAddr>> {
    let mut found = Vec::new();
    for _ in 0..count {
        let after = behind_name(records)?;
        let (fixed, after) = after.split_at_checked(10)?;
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let (data, after) = after.split_at_checked(length)?;
        if fixed[..2] == *kind && fixed[2..4] == INTERNET.to_be_bytes() {
            let v4 = <[u8; 4]>::try_from(data).map(|bytes| Ipv4Addr::from(bytes).into());
            let v6 = || <[u8; 16]>::try_from(data).map(|bytes| Ipv6Addr::from(bytes).into());
            found.push(v4.or_else(|_| v6()).ok()?);
        }
        records = after;
    }
    Some(found)
}

/// What comes after a name, which ends with an empty label or where it points to another.
fn behind_name(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, rest) = bytes.split_first()?;
        match length {
            0 => return Some(rest),
            0xc0.. => return rest.get(1..),
            64.. => return None,
            _ => bytes = rest.get(usize::from(*length)..)?,
        }
    }
}
