//! Checkouts and origins of every kind.

use uphaul_tests::lab::{self, Host, HostSpec, Release, Serve};
use uphaul_tests::signing::SigningKey;

use super::operator::Operator;
use super::usual;

scenarios!(
    a_shallow_clone,
    a_submodule,
    tags_and_short_hashes,
    a_branch_that_was_pushed_by_force,
    a_host_with_another_url,
    an_origin_that_is_not_there,
    only_what_is_signed
);

fn a_shallow_clone() {
    let origin = lab::Origin::start();
    origin.commit(Release::good("v0"));
    let v1 = origin.commit(Release::good("v1"));
    let host = HostSpec::new().shallow().boot(&origin);
    host.wait_healthy();
    let operator = Operator::of(&[&host]);
    origin.commit(Release::good("between"));
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(host.as_user("deploy", "git -C /srv/app rev-parse --is-shallow-repository").ok(), "true");
    let v3 = origin.commit(Release::good("v3").serve(Serve::ExitsAtOnce));
    operator.run(&["update", "web-1", "--to", &v3[..10]]).ended(3, &["rolled back"]);
    operator.is_rolled_back(&host, &v2, &v3);
    operator.run(&["rollback", "web-1"]).ended(0, &[]);
    operator.is_updated(&host, &v2, &v1);
}

fn a_submodule() {
    let origin = lab::Origin::start();
    let (one, two) = (origin.submodule_commit("one"), origin.submodule_commit("two"));
    let v1 = origin.commit(Release::good("v1").submodule(&one));
    let spec = HostSpec::new().after_clone("git submodule --quiet update --init");
    let host = spec.boot(&origin);
    host.wait_healthy();
    let has = |host: &Host| host.root("cat /srv/app/vendor/sub/sub.txt").ok();
    assert_eq!(has(&host), "one");
    let operator = Operator::of(&[&host]).set("service.submodules", "true");
    let v2 = origin.commit(Release::good("v2").submodule(&two));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    assert_eq!(has(&host), "two");
    let v3 = origin.commit(Release::good("v3").submodule(&one).serve(Serve::ExitsAtOnce));
    operator.run(&["update", "web-1", "--to", "main"]).ended(3, &["rolled back"]);
    operator.is_rolled_back(&host, &v2, &v3);
    assert_eq!(has(&host), "two");
}

fn tags_and_short_hashes() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    let tag = origin.annotated_tag("release-2", &v2);
    assert_ne!(tag, v2);
    operator.run(&["update", "web-1", "--to", "release-2"]).ended(0, &["release-2 is", &v2, "updated"]);
    operator.is_updated(&host, &v1, &v2);
    // A commit that no branch and no tag points at, by a part of its hash.
    let v3 = origin.commit(Release::good("v3"));
    let v4 = origin.commit(Release::good("v4"));
    operator.run(&["update", "web-1", "--to", &v3[..9]]).ended(0, &[&v3, "updated"]);
    operator.is_updated(&host, &v2, &v3);
    origin.tag("newest", &v4);
    operator.run(&["update", "web-1", "--to", "newest"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v3, &v4);
    // The hash of a tag's own object is no commit's: a host could name any commit for it.
    operator.run(&["update", "web-1", "--to", &tag]).ended(7, &["name an annotated tag by its name"]);
    operator.run(&["update", "web-1", "--to", "release-2"]).ended(0, &["updated", "older"]);
    operator.is_updated(&host, &v4, &v2);
}

fn a_branch_that_was_pushed_by_force() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let v2 = origin.commit(Release::good("v2"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    let lost = origin.commit(Release::good("lost"));
    origin.branch("main", &v1);
    let v3 = origin.commit(Release::good("v3"));
    origin.git(&["reflog", "expire", "--expire=now", "--all"]).ok();
    origin.git(&["gc", "--quiet", "--prune=now"]).ok();
    operator.run(&["update", "web-1", "--to", &lost]).ended(2, &["no commit that begins with", &lost]);
    // What the host ran is not part of the branch any more, and stays on the host all the same.
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v2, &v3);
    operator.run(&["check", "web-1", "--to", &v2]).ended(0, &["diverged"]);
    operator.run(&["rollback", "web-1"]).ended(0, &[]);
    operator.is_updated(&host, &v3, &v2);
}

fn a_host_with_another_url() {
    let (origin, first, v1) = usual();
    let other = format!("git://{}/app", origin.address());
    let second = HostSpec::new().after_clone(&format!("git remote set-url origin {other}")).boot(&origin);
    second.wait_healthy();
    let operator = Operator::of(&[&first, &second]);
    let v2 = origin.commit(Release::good("v2"));
    let out = operator.run(&["update", "web-1", "web-2", "--to", "main"]);
    out.ended(
        0,
        &["updated", &format!("its origin is {other}; the target was resolved at {}", origin.url())],
    );
    operator.is_updated(&first, &v1, &v2);
    super::proof::runs(&second, &v2);
}

fn an_origin_that_is_not_there() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]);
    let gone = format!("git://{}/gone.git", origin.address());
    host.as_user("deploy", &format!("git -C /srv/app remote set-url origin {gone}")).ok();
    operator.run(&["check", "web-1"]).ended(7, &["ls-remote", &gone]);
    operator.run(&["update", "web-1", "--to", "main"]).ended(7, &["ls-remote"]);
    super::proof::runs(&host, &v1);
}

fn only_what_is_signed() {
    let (origin, host, v1) = usual();
    let operator = Operator::of(&[&host]).set("service.verify_signature", "true");
    operator.run(&["check", "web-1"]).ended(2, &["service.allowed_signers", "names no file"]);
    let [ours, other] = ["ours", "other"].map(|name| SigningKey::make(&operator.path("."), name));
    let signers = operator.path("signers");
    std::fs::write(&signers, ours.line("")).unwrap();
    let operator = operator.set("service.allowed_signers", signers);
    let told = "only what is signed by one of 1 key (service.allowed_signers) is checked out";
    operator.run(&["check", "web-1"]).ended(0, &[told]);

    // Nothing of the host is touched for a commit that nobody signed, or somebody who may not.
    let unsigned = origin.commit(Release::good("unsigned"));
    operator.run(&["update", "web-1", "--to", "main"]).ended(7, &["aborted"]);
    operator.because(&["update/Fetch: ", &unsigned, "is not signed by a key", "it has no signature"]);
    operator.is_aborted(&host, &v1, &unsigned);
    let stranger = origin.signed_commit(Release::good("stranger"), &other);
    operator.run(&["update", "web-1", "--to", "main"]).ended(7, &["aborted"]);
    operator.because(&["update/Fetch: ", &stranger, "is not signed by a key", "No principal matched"]);
    operator.is_aborted(&host, &v1, &stranger);

    let v2 = origin.signed_commit(Release::good("v2"), &ours);
    operator.run(&["update", "web-1", "--to", "main"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v2);
    // A broken one goes back; and so does the host by hand, to a version that has no signature.
    let broken = origin.signed_commit(Release::good("v3").serve(Serve::ExitsAtOnce), &ours);
    operator.run(&["update", "web-1", "--to", "main"]).ended(3, &["rolled back"]);
    operator.is_rolled_back(&host, &v2, &broken);
    operator.run(&["rollback", "web-1"]).ended(0, &[]);
    operator.is_updated(&host, &v2, &v1);
    // A signed tag is a signature for whoever asks for the tag.
    let v4 = origin.commit(Release::good("v4"));
    origin.signed_tag("release-4", &v4, &ours);
    operator.run(&["update", "web-1", "--to", "main"]).ended(7, &["aborted"]);
    operator.run(&["update", "web-1", "--to", "release-4"]).ended(0, &["updated"]);
    operator.is_updated(&host, &v1, &v4);
}
