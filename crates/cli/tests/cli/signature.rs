//! `service.verify_signature`, as an operator sees it before an update.

use crate::env::TestEnv;

#[test]
fn check_and_plan_say_who_must_have_signed() {
    let env = TestEnv::new();
    let service =
        "path = \"/srv/app\"\nunit = \"app.service\"\nhealth.http = \"http://127.0.0.1:3000/health\"\n";
    let signed = "verify_signature = true\nallowed_signers = \"signers\"\n";
    env.file("uphaul.toml", &format!("[default.service]\n{service}{signed}"));
    env.file("signers", "ann@example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPlq ann\n");
    let add = ["hosts", "add", "web-1", "10.0.0.1"];
    let (check, plan) = (["check", "web-1"], ["plan", "web-1", "--to", "main"]);
    let with_mock = |words: &[&'static str]| [words, &["--executor", "mock"]].concat();
    insta::assert_snapshot!(env.page(&[&add, &with_mock(&check), &with_mock(&plan)]));
}
