use super::*;

fn texts(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    parts.iter().for_each(|part| put(&mut all, part));
    all
}

/// An answer with these keys.
fn answer(keys: &[&[u8]]) -> Vec<u8> {
    let mut all = vec![IDENTITIES_ANSWER];
    all.extend(u32::try_from(keys.len()).unwrap().to_be_bytes());
    keys.iter().for_each(|key| all.extend(texts(&[key, b"its name"])));
    all
}

fn request(key: &[u8], data: &[u8], flags: u32) -> Vec<u8> {
    [&[SIGN_REQUEST][..], &texts(&[key, data]), &flags.to_be_bytes()].concat()
}

fn certificate() -> Vec<u8> {
    texts(&[b"ssh-ed25519-cert-v01@openssh.com", b"random", b"KEY", b"more"])
}

#[test]
fn a_certificate_is_lent_to_the_agent_that_has_its_key_and_signs_by_it() {
    let (key, other) = (texts(&[b"ssh-ed25519", b"KEY"]), texts(&[b"ssh-ed25519", b"OTHER"]));
    let mut lent = Lent::new(vec![(certificate(), "x-cert.pub".into())]);
    // To be told twice changes nothing.
    for _ in 0..2 {
        let told = lent.answer(answer(&[&other, &key]));
        assert_eq!(listed(&told).unwrap(), [certificate().as_slice(), &other, &key]);
    }
    assert_eq!(lent.request(request(&certificate(), b"data", 0)), request(&key, b"data", 0));
    assert_eq!(lent.request(request(&other, b"data", 4)), request(&other, b"data", 4));
}

#[test]
fn nothing_is_lent_where_the_key_is_not_there_or_the_certificate_is() {
    let (key, other) = (texts(&[b"ssh-ed25519", b"KEY"]), texts(&[b"ssh-ed25519", b"OTHER"]));
    let mut lent = Lent::new(vec![(certificate(), "x-cert.pub".into())]);
    for held in [&[other.as_slice()][..], &[&key, &certificate()], &[]] {
        assert_eq!(lent.answer(answer(held)), answer(held));
        assert_eq!(lent.request(request(&certificate(), b"data", 0)), request(&certificate(), b"data", 0));
    }
}

#[test]
fn what_makes_no_sense_stays_as_it_is() {
    let mut lent = Lent::new(vec![(certificate(), "x".into())]);
    for bytes in [&b""[..], &[5], &[12], &[12, 0, 0, 0, 1, 0, 0, 0, 9], &[13], &[13, 0, 0, 0, 9], &[14, 1]] {
        assert_eq!(lent.answer(bytes.to_vec()), bytes);
        assert_eq!(lent.request(bytes.to_vec()), bytes);
    }
}

#[test]
fn an_rsa_certificate_signs_by_sha2() {
    for (kind, asked) in [
        (&b"rsa-sha2-512-cert-v01@openssh.com"[..], RSA_SHA2_512),
        (b"rsa-sha2-256-cert-v01@openssh.com", RSA_SHA2_256),
        (b"ssh-ed25519-cert-v01@openssh.com", 0),
    ] {
        let data = [
            texts(&[b"session"]),
            vec![50],
            texts(&[b"user", b"ssh-connection", b"publickey"]),
            vec![1],
            texts(&[kind, b"key"]),
        ]
        .concat();
        assert_eq!(Lent::default().request(request(b"key", &data, 0)), request(b"key", &data, asked));
    }
}
