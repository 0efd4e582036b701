use super::*;

fn soon(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

fn listener(dir: &tempfile::TempDir) -> (PathBuf, UnixListener) {
    let path = dir.path().join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    (path, listener)
}

/// One that has the keys `a` and `bc`, and then says nothing more.
fn two_keys(listener: UnixListener) -> std::thread::JoinHandle<UnixStream> {
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        assert_eq!(receive(&stream, soon(60_000)).unwrap(), [REQUEST_IDENTITIES]);
        let answer =
            [&[12, 0, 0, 0, 2][..], b"\0\0\0\x01a", b"\0\0\0\x03one", b"\0\0\0\x02bc", b"\0\0\0\0"].concat();
        send(&stream, &answer, soon(60_000)).unwrap();
        stream
    })
}

#[test]
fn keys_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, listener) = listener(&dir);
    let agent = two_keys(listener);
    assert_eq!(keys(&path, soon(60_000)).unwrap(), [b"a".to_vec(), b"bc".to_vec()]);
    drop(agent.join().unwrap());
    // Nobody listens any more. (Or, for a moment, a child of another test that is about to become its program.)
    assert!(keys(&path, soon(60_000)).is_err());
}

#[test]
fn one_that_never_answers_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _listener) = listener(&dir);
    assert!(keys(&path, soon(50)).unwrap_err().contains("did not answer"));
    // Nor one whose queue is full, where even connecting waits.
    let mut full = Vec::new();
    loop {
        // By one that does not wait: a limit of time may be over on a busy machine where there was room still.
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        match socket.connect(&SockAddr::unix(&path).unwrap()) {
            Ok(()) => full.push(socket),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(keys(&path, soon(50)).is_err());
    assert!(Front::new(&path, soon(50)).is_err());
}

#[test]
fn answers_that_make_no_sense_are_told() {
    for answer in [&b""[..], &[5], &[12], &[12, 0, 0, 0, 1, 0, 0, 0, 9], &[12, 255, 255, 255, 255]] {
        assert_eq!(lend::listed(answer), None, "{answer:?}");
    }
    assert_eq!(lend::listed(&[12, 0, 0, 0, 0]), Some(Vec::new()));
}

#[test]
fn libssh2_is_told_that_an_agent_failed_which_answers_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (path, listener) = listener(&dir);
    let agent = two_keys(listener);
    let until = soon(2000);
    let front = Front::new(&path, until).unwrap();
    let private = front.path().parent().unwrap().to_owned();
    assert_eq!(std::fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o700);
    let ours = UnixStream::connect(front.path()).unwrap();
    let why = front.carry(Lent::default(), until).unwrap();
    assert!(!private.exists());
    send(&ours, &[REQUEST_IDENTITIES], soon(60_000)).unwrap();
    assert_eq!(receive(&ours, soon(60_000)).unwrap().first(), Some(&lend::IDENTITIES_ANSWER));
    assert_eq!(why.told(), None);
    // Now a signature, for which a person would have to press a key until the time is over.
    let _held = agent.join().unwrap();
    send(&ours, &[13, 0], soon(60_000)).unwrap();
    assert_eq!(receive(&ours, soon(60_000)).unwrap(), [FAILURE]);
    assert!(why.told().unwrap().contains("did not answer within"), "{:?}", why.told());
}
