use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The answer to a question: a header, the question, and records.
fn answer(question: &[u8], flags: [u8; 2], records: &[&[u8]]) -> Vec<u8> {
    let count = u8::try_from(records.len()).unwrap();
    let head = [&question[..2], &flags, &[0, 1, 0, count, 0, 0, 0, 0]].concat();
    [head, question[12..].to_vec(), records.concat()].concat()
}

/// A record of the name that was asked for.
fn record(kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len()).unwrap();
    [&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, length], data].concat()
}

#[test]
fn resolv_conf_is_read_as_the_c_library_does() {
    let text = "# a comment\nnameserver 192.0.2.1 ; another\nnameserver nonsense\nnameserver 2001:db8::1\n\
                domain old.test\nsearch a.test. b.test\noptions ndots:2 timeout:0 attempts:99 rotate edns0\n\
                nameserver 192.0.2.2\nnameserver 192.0.2.3\n";
    let settings = Settings::read(text);
    let servers: Vec<String> = settings.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"]);
    assert_eq!((settings.dots, settings.timeout, settings.attempts), (2, Duration::from_secs(1), 5));
    assert_eq!(settings.candidates("web"), ["web.a.test", "web.b.test", "web"]);
    assert_eq!(settings.candidates("web.x.y"), ["web.x.y", "web.x.y.a.test", "web.x.y.b.test"]);
    assert_eq!(settings.candidates("web."), ["web"]);
    let nothing = Settings::read("");
    assert_eq!(nothing.servers, [SocketAddr::from(([127, 0, 0, 1], 53))]);
    assert_eq!(nothing.candidates("web"), ["web"]);
}

#[test]
fn hosts_files_have_names_comments_and_both_kinds() {
    let text = "::1 ip6 both\n127.0.0.9\tWeb-1 web # web-2\nnonsense web-3\n10.0.0.1 both\n";
    assert_eq!(settings::in_hosts(text, "web-1."), Some(vec![ip("127.0.0.9")]));
    assert_eq!(settings::in_hosts(text, "both"), Some(vec![ip("10.0.0.1"), ip("::1")]));
    assert_eq!(settings::in_hosts(text, "web-2"), None);
    assert_eq!(settings::in_hosts(text, "web-3"), None);
}

#[test]
fn an_answer_is_read_whatever_leads_to_it() {
    let question = Question::new("web.test", Kind::A).unwrap();
    let read = |packet: &[u8]| question.read(packet);
    // A name that is another's, the addresses of which follow.
    let alias = record(5, &[1, b'x', 0xc0, 12]);
    let own: &[u8] = &[1, b'x', 4, b't', b'e', b's', b't', 0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7];
    let good = answer(question.bytes(), [0x81, 0x80], &[&alias, own, &record(28, &[0; 16])]);
    assert_eq!(read(&good), Some(Ok(Answer::Addresses(vec![ip("192.0.2.7")]))));
    let none = answer(question.bytes(), [0x81, 0x80], &[]);
    assert_eq!(read(&none), Some(Ok(Answer::Addresses(vec![]))));
    assert_eq!(read(&answer(question.bytes(), [0x81, 0x83], &[])), Some(Ok(Answer::NoSuchName)));
    assert!(matches!(read(&answer(question.bytes(), [0x81, 0x82], &[])), Some(Err(_))));
    // To another question, or no answer at all.
    let other = Question::new("other.test", Kind::A).unwrap();
    assert_eq!(read(&answer(other.bytes(), [0x81, 0x80], &[own])), None);
    assert_eq!(read(question.bytes()), None);
    let mut late = good.clone();
    late[0] ^= 1;
    assert_eq!(read(&late), None);
    // Whatever a broken one says, it says no address that is not there, and nothing breaks.
    for end in 0..good.len() {
        let said = read(&good[..end]);
        assert!(matches!(said, None | Some(Err(_))), "{end}: {said:?}");
        for byte in [0, 1, 63, 64, 0xc0, 0xff] {
            let mut wrong = good.clone();
            wrong[end] = byte;
            let _ = read(&wrong);
        }
    }
}

#[test]
fn what_is_no_name_is_not_asked_for() {
    for name in ["", "a..b", ".a", &"x".repeat(64), &format!("{}x", "x.".repeat(127)), "bücher.test"] {
        assert!(Question::new(name, Kind::A).is_err(), "{name:?}");
    }
}

/// A name server on a port that the system gave, for so many questions; over TCP too where it says so.
fn server(questions: usize, reply: fn(&[u8]) -> Vec<u8>, over_tcp: bool) -> (Settings, JoinHandle<()>) {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).unwrap();
    let thread = std::thread::spawn(move || {
        for _ in 0..questions {
            let mut question = [0; 512];
            let (n, client) = udp.recv_from(&mut question).unwrap();
            if !over_tcp {
                udp.send_to(&reply(&question[..n]), client).unwrap();
                continue;
            }
            udp.send_to(&answer(&question[..n], [0x83, 0x80], &[]), client).unwrap();
            let (mut stream, _) = tcp.accept().unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            stream.read_exact(&mut question[..usize::from(u16::from_be_bytes(length))]).unwrap();
            let reply = reply(&question[..n]);
            let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length[..], &reply].concat()).unwrap();
        }
    });
    (Settings { servers: vec![address], ..Settings::read("search a.test\noptions timeout:20") }, thread)
}

/// Only `web.a.test` is there, with one address of each kind.
fn one_name(question: &[u8]) -> Vec<u8> {
    let wanted = Question::new("web.a.test", Kind::A).unwrap();
    let name = wanted.bytes().len() - 4;
    if question.get(12..name) != wanted.bytes().get(12..name) {
        return answer(question, [0x81, 0x83], &[]);
    }
    let v4 = record(1, &[192, 0, 2, 7]);
    let v6 = record(28, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    answer(question, [0x81, 0x80], &[if question[name + 1] == 1 { &v4 } else { &v6 }])
}

#[test]
fn a_server_is_asked_by_packets_and_by_tcp() {
    for over_tcp in [false, true] {
        let (settings, thread) = server(2, one_name, over_tcp);
        assert_eq!(ask_all(&settings, "web", soon()), Ok(vec![ip("192.0.2.7"), ip("2001:db8::7")]));
        thread.join().unwrap();
    }
    let (settings, thread) = server(2, one_name, false);
    assert_eq!(ask_all(&settings, "x.y", soon()), Err("there is no such name".to_owned()));
    thread.join().unwrap();
}

#[test]
fn a_server_that_cannot_tell_is_not_the_last_one() {
    let (settings, thread) = server(2, one_name, false);
    let (first, failing) = server(2, |question| answer(question, [0x81, 0x82], &[]), false);
    let both = Settings { servers: [first.servers, settings.servers].concat(), ..settings };
    assert_eq!(ask_all(&both, "web", soon()).unwrap().len(), 2);
    thread.join().unwrap();
    failing.join().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let deaf = Settings { servers: vec![silent.local_addr().unwrap()], ..both };
    let said = ask_all(&deaf, "web", Instant::now() + Duration::from_millis(50)).unwrap_err();
    assert!(said.starts_with("no name server told: 127.0.0.1: no answer within "), "{said}");
}
