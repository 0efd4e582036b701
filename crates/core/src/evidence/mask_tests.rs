use proptest::prelude::*;

use super::*;

fn mask(env: &[(&str, &str)], patterns: &[&str]) -> Mask {
    let env = env.iter().map(|(name, value)| (name.parse().unwrap(), (*value).to_owned())).collect();
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    Mask::new(&env, Patterns::new(&patterns).unwrap())
}

fn told(env: &[(&str, &str)], text: &str) -> String {
    mask(env, &[]).text(text, None)
}

#[test]
fn values_of_the_environment_are_masked() {
    let env = [("DATABASE_URL", "postgres://ana:pw@db/app"), ("TOKEN", "tok_123456")];
    assert_eq!(told(&env, "no answer from postgres://ana:pw@db/app"), "no answer from [masked]");
    assert_eq!(told(&env, "tok_123456tok_123456 x"), "[masked][masked] x");
    assert_eq!(told(&env, ""), "");
}

#[test]
fn a_secret_inside_a_longer_word_is_masked() {
    assert_eq!(told(&[("TOKEN", "tok_123456")], "Bearer-tok_123456xyz"), "Bearer-[masked]xyz");
    // One with a digit is no word of any language, however short.
    assert_eq!(told(&[("PASSWORD", "hunter2")], "ahunter2b"), "a[masked]b");
    assert_eq!(told(&[("PASSWORD", "correcthorse")], "xcorrecthorsex"), "x[masked]x");
}

#[test]
fn a_value_that_is_a_common_word_leaves_the_text_readable() {
    let env = [("DB_NAME", "main"), ("MODE", "production"), ("NODE_ENV", "testing"), ("RETRIES", "100")];
    assert_eq!(
        told(&env, "in main: maintenance of domain, production, testing, 100"),
        "in [masked]: maintenance of domain, production, testing, 100"
    );
    let env =
        [("PIN", "4711"), ("PORT", "3000"), ("LC_TIME", "german_long"), ("EMPTY", ""), ("BLANK", "        ")];
    assert_eq!(told(&env, "4711 port 3000 147113 german_long"), "[masked] port 3000 147113 german_long");
}

#[test]
fn overlapping_secrets_leave_nothing_of_either() {
    let env = [("A", "abcd1234"), ("B", "1234efgh"), ("C", "cd12")];
    assert_eq!(told(&env, "<abcd1234efgh>"), "<[masked]>");
    assert_eq!(told(&[("A", "a1a1a1a1")], "a1a1a1a1a1a1"), "[masked]");
    let both = mask(&[("A", "abcd1234")], &["34-[a-z]+"]);
    assert_eq!(both.text("abcd1234-xyz.", None), "[masked].");
}

#[test]
fn the_forms_in_which_a_value_is_printed_are_masked() {
    let key = "-----BEGIN KEY-----\nMIIabcdef123\nZZZZzzzz99==\n-----END KEY-----";
    assert_eq!(told(&[("KEY", key)], "read MIIabcdef123, then ZZZZzzzz99=="), "read [masked], then [masked]");
    let env = [("PASSWORD", "a\"b\\c/d e1")];
    assert_eq!(told(&env, r#"{"password":"a\"b\\c/d e1"}"#), r#"{"password":"[masked]"}"#);
    assert_eq!(told(&env, "?password=a%22b%5Cc%2Fd%20e1&x"), "?password=[masked]&x");
}

#[test]
fn the_words_of_a_url_are_masked() {
    let told = |text| Mask::default().text(text, None);
    assert_eq!(
        told("fetch https://ana:pw@git.example.com/a.git"),
        "fetch https://[masked]@git.example.com/a.git"
    );
    assert_eq!(
        told("https://ghp_token@github.com postgres://a:p@ss@db:5/x"),
        "https://[masked]@github.com postgres://[masked]@db:5/x"
    );
    assert_eq!(
        told("http://127.0.0.1:3000/a@b mail ana@example.com"),
        "http://127.0.0.1:3000/a@b mail ana@example.com"
    );
}

#[test]
fn patterns_mask_their_groups_or_all() {
    let mask = mask(&[], &["(?i)api-key: *(\\S+)", "sk_[a-z0-9]+"]);
    assert_eq!(mask.text("API-Key: abc, sk_live1 end", None), "API-Key: [masked] [masked] end");
}

#[test]
fn patterns_that_cannot_be_used_are_refused() {
    let why = |pattern: &str| Patterns::new(&[pattern.to_owned()]).unwrap_err().to_string();
    assert_eq!(why("a(b"), "\"a(b\" is no regular expression: unclosed group");
    assert_eq!(why("x*"), "\"x*\" matches where nothing stands, so it would mask nothing");
    assert!(why("(\\w{900}){900}").contains("is no regular expression: "), "{}", why("(\\w{900}){900}"));
    let many = vec!["a".to_owned(); PATTERNS_MAX + 1];
    assert_eq!(Patterns::new(&many).unwrap_err().to_string(), "\"a\" is one too many: there may be 64");
}

#[test]
fn half_a_secret_at_a_cut_end_is_masked() {
    let mask = mask(&[("TOKEN", "tok_123456")], &[]);
    assert_eq!(mask.text("23456 and more", Some(Cut::Tail)), "[masked] and more");
    assert_eq!(mask.text("and tok_12", Some(Cut::Head)), "and [masked]");
    // Where nothing was cut, or too little is left to tell anything, it is no part of it.
    assert_eq!(mask.text("23456 and tok_12", None), "23456 and tok_12");
    assert_eq!(mask.text("56 and t", Some(Cut::Tail)), "56 and t");
    assert_eq!(mask.text("56 and t", Some(Cut::Head)), "56 and t");
}

#[test]
fn a_reason_is_masked_wherever_the_host_spoke() {
    let mask = mask(&[("TOKEN", "tok_123456")], &[]);
    let texts = |text: &str| {
        let text = text.to_owned();
        [
            Reason::Exited { code: 1, tail: text.clone() },
            Reason::TimedOut { after_s: 1, tail: text.clone() },
            Reason::NotProved { found: text.clone(), tail: text.clone() },
            Reason::Unexpected { detail: text.clone() },
            Reason::Refused { problems: vec![Problem { code: "x".into(), found: text.clone(), fix: text }] },
        ]
    };
    for (secret, safe) in texts("a tok_123456").into_iter().zip(texts("a [masked]")) {
        assert_eq!(mask.reason(secret), safe);
    }
    let note = |text: &str| Reason::HostReverted { note: Some(text.to_owned()) };
    // It may end in the middle of a secret.
    assert_eq!(mask.reason(note("tok_123456 and tok_12")), note("[masked] and [masked]"));
    let none = Reason::HostReverted { note: None };
    assert_eq!(mask.reason(none.clone()), none);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Wherever a text is cut, and whatever stands around its secrets: no four letters of one in a row are left.
    #[test]
    fn no_cut_leaves_a_part_of_a_secret(
        pieces in proptest::collection::vec("[a-c \\n]{0,6}", 1..6),
        secret in "[A-Z][0-9A-Z]{7,20}",
        at in any::<prop::sample::Index>(),
        head in any::<bool>(),
    ) {
        let text = pieces.join(&secret);
        let (cut, rest) = match (head, text.split_at(at.index(text.len() + 1))) {
            (true, (beginning, _)) => (Cut::Head, beginning),
            (false, (_, end)) => (Cut::Tail, end),
        };
        let safe = mask(&[("S", &secret)], &[]).text(rest, Some(cut)).replace(MASKED, "");
        for from in 0..secret.len() - 3 {
            prop_assert!(!safe.contains(&secret[from..from + 4]), "{safe:?} has a part of {secret}");
        }
    }
}
