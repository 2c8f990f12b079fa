//! The tables.

use rusqlite::Connection;
use std::path::Path;

/// Of the tables below; a file of another version is refused rather than misread.
const VERSION: i64 = 1;

const TABLES: &str = "
    CREATE TABLE meta (checked INTEGER NOT NULL);
    INSERT INTO meta VALUES (0);
    -- turn: rises with every claim, so that the caller who was served longest ago comes next
    CREATE TABLE caller (owner TEXT PRIMARY KEY, turn INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE job (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        key TEXT,
        sweep TEXT,
        identity TEXT NOT NULL,
        state TEXT NOT NULL,
        cancel INTEGER NOT NULL DEFAULT 0,
        created INTEGER NOT NULL,
        started INTEGER,
        finished INTEGER,
        attempts INTEGER NOT NULL DEFAULT 0,
        -- workers lost since the last checkpoint
        lost INTEGER NOT NULL DEFAULT 0,
        spec TEXT NOT NULL,
        progress TEXT,
        outcome TEXT NOT NULL DEFAULT '{}',
        last_event INTEGER NOT NULL DEFAULT 0
    );
    CREATE UNIQUE INDEX job_key ON job (owner, key) WHERE key IS NOT NULL;
    CREATE INDEX job_identity ON job (owner, identity);
    CREATE INDEX job_state ON job (state, owner);
    CREATE INDEX job_sweep ON job (sweep) WHERE sweep IS NOT NULL;
    CREATE INDEX job_owner ON job (owner, number);
    CREATE TABLE event (
        job INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (job, seq)
    ) WITHOUT ROWID;
    CREATE TABLE file (digest TEXT PRIMARY KEY, bytes INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE owned (digest TEXT NOT NULL REFERENCES file ON DELETE CASCADE, owner TEXT NOT NULL, PRIMARY KEY (digest, owner)) WITHOUT ROWID;
    -- what jobs read and made
    CREATE TABLE input (
        job INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
        digest TEXT NOT NULL REFERENCES file,
        PRIMARY KEY (job, digest)
    ) WITHOUT ROWID;
    CREATE INDEX input_digest ON input (digest);
    CREATE TABLE artifact (
        job INTEGER NOT NULL REFERENCES job ON DELETE CASCADE,
        name TEXT NOT NULL,
        digest TEXT NOT NULL REFERENCES file,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (job, name)
    ) WITHOUT ROWID;
    CREATE INDEX artifact_digest ON artifact (digest);
";

/// Opens or makes the database.
///
/// # Errors
/// What SQLite says, or a version that is not this one.
pub fn open(path: &Path) -> Result<Connection, String> {
    let fault = |e: rusqlite::Error| e.to_string();
    let database = Connection::open(path).map_err(fault)?;
    database.pragma_update(None, "journal_mode", "wal").map_err(fault)?;
    // a job that was taken survives a power failure
    database.pragma_update(None, "synchronous", "full").map_err(fault)?;
    database.pragma_update(None, "foreign_keys", true).map_err(fault)?;
    // no files elsewhere: only the folder of the data need be writable
    database.pragma_update(None, "temp_store", "memory").map_err(fault)?;
    let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fault)?;
    match version {
        VERSION => {}
        0 => {
            let made = format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT");
            database.execute_batch(&made).map_err(fault)?;
        }
        other => return Err(format!("it has version {other}, this program reads {VERSION}")),
    }
    Ok(database)
}
