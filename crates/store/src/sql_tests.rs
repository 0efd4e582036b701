//! Shows every text of SQL to the dialects that must understand it.

use crate::db::Store;
use crate::sql;

#[tokio::test]
async fn sqlite_understands_every_text() {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let mut conn = store.writer.acquire().await.unwrap();
    for (name, text) in sql::ALL {
        let explained = format!("EXPLAIN {text}");
        let answer = sqlx::query(sqlx::AssertSqlSafe(explained)).fetch_all(&mut *conn).await;
        assert!(answer.is_ok(), "{name}: {answer:?}");
    }
}
