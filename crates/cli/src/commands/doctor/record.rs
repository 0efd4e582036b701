//! The database: whether it can be opened, and how new it is.

use std::time::Duration;

use uphaul_store::{Glance, Host, Store, StoreError};

use super::Finding;
use crate::config::Config;
use crate::render::words;

/// How long a database on a server may take.
const OPEN_MAX: Duration = Duration::from_secs(20);

/// Looks at it, and gives its hosts. A file that is not there, or of an older Uphaul, stays so.
pub(super) async fn look(config: Option<&Config>) -> (Vec<Host>, Vec<Finding>) {
    let none = Vec::new();
    let Some(config) = config else {
        return (none, vec![Finding::note("not looked at: the configuration says where it is")]);
    };
    let database = match config.database() {
        Ok(database) => database,
        Err(error) => {
            let fix = error.hints.join("; ");
            return (none, vec![Finding::bad(error.message).fix(fix)]);
        }
    };
    if let Some(file) = database.file().filter(|_| config.adopted.is_none()) {
        match Store::glance(file).await {
            Ok(Glance::Absent) => {
                let found = format!("{} is not there yet; the first command makes it", file.display());
                return (none, vec![Finding::good(found)]);
            }
            Ok(Glance::Behind { layout, known }) => {
                let older =
                    format!("{} has layout {layout}; the next command brings it to {known}", file.display());
                let fix = "copy the file first if an older Uphaul is to use it again";
                return (none, vec![Finding::note(older).fix(fix)]);
            }
            Ok(Glance::Same { .. }) => {}
            Err(error) => return (none, vec![bad(&error)]),
        }
    }
    let opened = async {
        let store = match &config.adopted {
            Some(adopted) => Store::open_adopted(database.expose(), adopted).await?,
            None => Store::open(database.expose()).await?,
        };
        let writable = store.check_writable("begin a run");
        Ok::<_, StoreError>((store.hosts().await?, store.unfinished_runs().await?.len(), writable))
    };
    match tokio::time::timeout(OPEN_MAX, opened).await {
        Ok(Ok((hosts, unfinished, writable))) => {
            let layout = uphaul_store::layout_known();
            let many = words::count(hosts.len(), "host");
            let mut findings = vec![Finding::good(format!("{database}, layout {layout}, {many}"))];
            findings.extend(writable.err().as_ref().map(bad));
            if hosts.is_empty() {
                let fix = "`uphaul hosts add NAME ADDRESS` adds one, `uphaul hosts import FILE` many";
                findings.push(Finding::note("there is no host yet").fix(fix));
            }
            if unfinished > 0 {
                let many = words::count(unfinished, "run");
                findings.push(Finding::note(format!("{many} not finished")).fix("`uphaul resume`"));
            }
            (hosts, findings)
        }
        Ok(Err(error)) => (none, vec![bad(&error)]),
        Err(_) => {
            (none, vec![Finding::bad(format!("{database} did not answer within {} s", OPEN_MAX.as_secs()))])
        }
    }
}

fn bad(error: &StoreError) -> Finding {
    Finding::bad(error.to_string())
}
