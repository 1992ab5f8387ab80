//! One SQLite file shared by all replicas of a service.
//!
//! SQLite blocks, so that every call runs on a blocking thread with one of a few connections. Reads run beside each
//! other and beside the writer (WAL); writes of one replica queue here, first come first served, and only then compete
//! with the other replicas for the file, where SQLite polls and is not fair. No lock is held across an await.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// Connections of one replica to a file.
const CONNECTIONS: usize = 4;

/// How long a request waits for a connection, and then for the file, before it is answered 503.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tables of a service, and what a new store begins with.
#[derive(Debug)]
pub struct Schema {
    /// Marks a store as this service's (SQLite's `application_id`); not 0.
    pub application_id: i32,
    /// Run once in the life of a store, in one transaction.
    pub create: &'static str,
}

/// A handle to the store; clones share the connections.
#[derive(Debug, Clone)]
pub struct Store {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
    write_permit: Arc<Semaphore>,
}

impl Store {
    /// Opens `path`, and creates and seeds it when it is new. Any number of replicas may do so at the same time.
    pub fn open(path: &Path, schema: &Schema) -> Result<Self, String> {
        let connections = if path == Path::new(":memory:") { memory(schema) } else { file(path, schema) };
        let connections =
            connections.map_err(|error| format!("cannot open the store {}: {error}", path.display()))?;
        Ok(Self {
            permits: Arc::new(Semaphore::new(connections.len())),
            write_permit: Arc::new(Semaphore::new(1)),
            idle: Arc::new(Mutex::new(connections)),
        })
    }

    /// Runs `work` on a blocking thread. It goes on to its end even when the request is cancelled.
    pub async fn read<T, W>(&self, work: W) -> Result<T, Problem>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Problem> + Send + 'static,
    {
        let mut lease = self.lease().await?;
        blocking(move || work(lease.connection())).await
    }

    /// Runs `work` in a transaction that holds the file's write lock from its beginning: what it reads stays true until
    /// it commits. Commits when `work` succeeds, else leaves no trace.
    pub async fn write<T, W>(&self, work: W) -> Result<T, Problem>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, Problem> + Send + 'static,
    {
        let turn = permit(&self.write_permit).await?;
        let mut lease = self.lease().await?;
        blocking(move || {
            let _turn = turn;
            let transaction = lease.connection().transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }

    async fn lease(&self) -> Result<Lease, Problem> {
        let permit = permit(&self.permits).await?;
        let connection = Some(lock(&self.idle).pop().ok_or_else(Problem::busy)?);
        Ok(Lease { connection, idle: Arc::clone(&self.idle), _permit: permit })
    }
}

/// A connection on loan. It comes back when the work is over, also by a panic, whose transaction is rolled back.
struct Lease {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
    // Dropped after `drop` below has put the connection back, so that a permit always finds one.
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lease holds its connection until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.idle).extend(self.connection.take());
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    match tokio::time::timeout(PATIENCE, Arc::clone(semaphore).acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_closed)) => Err(Problem::internal("the store is closed")),
        Err(_elapsed) => Err(Problem::busy()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Problem::internal("the store call did not finish")))
}

/// A vector of connections is whole between any two statements, so that poison means nothing here.
fn lock(idle: &Mutex<Vec<Connection>>) -> MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each in-memory connection is a store of its own, hence one.
fn memory(schema: &Schema) -> Result<Vec<Connection>, String> {
    let mut connection = Connection::open_in_memory().map_err(text)?;
    create(&mut connection, schema)?;
    Ok(vec![connection])
}

/// The lock file makes replicas that start together take turns: the switch to WAL fails at once, without the busy
/// timeout, when another connection is in the file.
fn file(path: &Path, schema: &Schema) -> Result<Vec<Connection>, String> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(text)?;
    }
    let turn = File::create(beside(path, ".lock")).map_err(text)?;
    turn.lock().map_err(text)?;
    let mut first = connect(path).map_err(text)?;
    first.pragma_update(None, "journal_mode", "WAL").map_err(text)?;
    create(&mut first, schema)?;
    let mut connections = vec![first];
    for _ in 1..CONNECTIONS {
        connections.push(connect(path).map_err(text)?);
    }
    Ok(connections)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// `synchronous=NORMAL`: what was answered survives the death of the process. The last moments before a power cut may
/// be lost, never torn; a shop with real money would pay for FULL.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Creates and seeds a store once: the mark is set in the same transaction.
fn create(connection: &mut Connection, schema: &Schema) -> Result<(), String> {
    let mark: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(text)?;
    match mark {
        0 => create_marked(connection, schema).map_err(text),
        mark if mark == schema.application_id => Ok(()),
        _ => Err("it belongs to another service".to_owned()),
    }
}

fn create_marked(connection: &mut Connection, schema: &Schema) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(schema.create)?;
    transaction.pragma_update(None, "application_id", schema.application_id)?;
    transaction.commit()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
