//! Where a worker notes its finished requests: a plain vector, handed over whole ten times a second.
//!
//! Nothing here is shared while a request runs. When the aggregator falls behind, records wait here up to a bound,
//! and what goes over it is counted instead of kept.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::access_log::{AccessLog, Entry, Lines};
use super::record::{Hedging, Record, Retry, Sample};
use crate::policy::endpoint::EndpointState;
use crate::policy::reason::Reason;
use crate::snapshot::Id;

/// A batch this long is handed over without waiting for the tick.
const BATCH: usize = 4096;
/// Records that may wait for the aggregator.
const MOST_WAITING: usize = 65_536;

/// What a worker hands over at once.
#[derive(Debug)]
pub struct Batch {
    /// Finished requests, in the order they finished.
    pub records: Vec<Record>,
    /// What was learned of endpoints, in order.
    pub samples: Vec<Sample>,
    /// Tries that came to nothing, in order.
    pub retries: Vec<Retry>,
    /// What routes that hedge tell, in order.
    pub hedging: Vec<Hedging>,
    /// Records that were not kept because too many waited.
    pub lost: u64,
}

/// One worker's notebook.
#[derive(Debug)]
pub struct Recorder {
    records: RefCell<Vec<Record>>,
    samples: RefCell<Vec<Sample>>,
    retries: RefCell<Vec<Retry>>,
    hedging: RefCell<Vec<Hedging>>,
    lost: Cell<u64>,
    lines: RefCell<Lines>,
    sender: Sender<Batch>,
}

impl Recorder {
    /// Hands batches to `sender`.
    pub fn new(sender: Sender<Batch>) -> Self {
        Self {
            records: RefCell::default(),
            samples: RefCell::default(),
            retries: RefCell::default(),
            hedging: RefCell::default(),
            lost: Cell::new(0),
            lines: RefCell::new(Lines::default()),
            sender,
        }
    }

    /// Notes a finished request.
    pub fn record(&self, record: Record) {
        let mut records = self.records.borrow_mut();
        if records.len() < MOST_WAITING {
            records.push(record);
        } else {
            self.lost.set(self.lost.get() + 1);
        }
        if records.len() == BATCH {
            drop(records);
            self.hand_over();
        }
    }

    /// Notes what an endpoint did.
    pub fn sample(&self, sample: Sample) {
        self.note(&self.samples, sample);
    }

    /// An endpoint has failed. At ten thousand requests a second, a dead one that is found out at the next tick has cost two
    /// thousand tries.
    #[cold]
    pub fn raise_alarm(&self, endpoint: &EndpointState) {
        if endpoint.is_alarming() {
            self.flush();
        }
    }

    /// Notes a try that came to nothing.
    pub fn retry(&self, retry: Retry) {
        self.note(&self.retries, retry);
    }

    /// Notes what became of a hedged request.
    pub fn hedging(&self, told: Hedging) {
        self.note(&self.hedging, told);
    }

    /// Notes a head that was refused before it became a request.
    pub fn head_refused(&self, listener: Id, client: IpAddr, reason: Reason) {
        let status = reason.status().as_u16();
        let record = Record { status, reason: Some(reason), ..Record::new(listener) };
        self.log(&Entry::unread(client), &record);
        self.record(record);
    }

    /// Writes a line of the access log.
    pub fn log(&self, entry: &Entry, record: &Record) {
        self.lines.borrow_mut().add(entry, record);
    }

    /// The access log in force; lines for another one go out first.
    pub fn use_log(&self, log: Option<&Arc<AccessLog>>) {
        self.lines.borrow_mut().switch(log);
    }

    /// Hands over what there is.
    pub fn flush(&self) {
        self.lines.borrow_mut().flush();
        let quiet = self.records.borrow().is_empty() && self.samples.borrow().is_empty();
        let quiet = quiet && self.hedging.borrow().is_empty();
        if !quiet {
            self.hand_over();
        }
    }

    fn note<T>(&self, all: &RefCell<Vec<T>>, one: T) {
        let mut all = all.borrow_mut();
        if all.len() < MOST_WAITING {
            all.push(one);
        } else {
            self.lost.set(self.lost.get() + 1);
        }
    }

    fn hand_over(&self) {
        // As much room as was needed last: a quiet worker takes little.
        let records = replace_same_size(&self.records);
        let samples = replace_same_size(&self.samples);
        let (retries, hedging) = (self.retries.take(), self.hedging.take());
        let batch = Batch { records, samples, retries, hedging, lost: self.lost.take() };
        if let Err(TrySendError::Full(batch)) = self.sender.try_send(batch) {
            self.take_back(batch);
        }
    }

    fn take_back(&self, batch: Batch) {
        self.lost.set(batch.lost);
        self.records.replace(batch.records);
        self.samples.replace(batch.samples);
        self.retries.replace(batch.retries);
        self.hedging.replace(batch.hedging);
    }
}

fn replace_same_size<T>(all: &RefCell<Vec<T>>) -> Vec<T> {
    let next = Vec::with_capacity(all.borrow().len().min(BATCH));
    all.replace(next)
}
