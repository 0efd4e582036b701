//! The lab of real hosts shows that it can do what the scenarios ask of it, with plain ssh and without Uphaul.

use uphaul_tests::lab::{self, HostSpec, Origin, Release};

#[test]
fn boots_runs_the_service_and_leaves_nothing_behind() {
    if lab::skip() {
        return;
    }
    let origin = Origin::start();
    let first = origin.commit(Release::good("v1"));
    let host = HostSpec::new().boot(&origin);
    host.wait_healthy();
    assert_eq!(host.head(), first);
    assert_eq!(host.running_version().as_deref(), Some("v1"));
    assert_eq!(host.ssh("id -un && git -C /srv/app status --porcelain").ok(), "deploy");
}
