//! The rules that hold between any two inputs, with the numbers of the essay.

use core::fmt::Debug;

use super::machine::Machine;
use super::state::Standing;
use super::{BatchId, Runs};

/// The first broken rule of the ledger, if there is one. Called after every input in debug builds,
/// and by the tests.
///
/// # Errors
///
/// A sentence that names the rule; it means a bug in the machine, whatever its inputs were.
pub fn check<W: Copy + Ord + Debug>(machine: &Machine<W>) -> Result<(), &'static str> {
    if machine.over {
        return Ok(());
    }
    each_item_is_in_one_place(machine)?;
    each_parcel_is_out(machine)?;
    each_worker_holds_what_names_it(machine)
}

/// S1: pending, outstanding and counted items are disjoint, and together they are all items.
fn each_item_is_in_one_place<W: Copy + Ord + Debug>(machine: &Machine<W>) -> Result<(), &'static str> {
    let pending = machine.pending.classes().map(|(_, runs)| runs);
    let parcels = machine.parcels.values().map(|parcel| &parcel.items);
    let mut sum = 0u64;
    let mut all = Runs::default();
    for runs in pending.chain(parcels).chain([&machine.counted]) {
        sum = sum.saturating_add(runs.len());
        runs.iter().for_each(|run| all.insert(run));
    }
    let full = all.len() == machine.offered && all.iter().all(|run| run.end <= machine.offered);
    ensure(full, "S1: an item is nowhere")?;
    ensure(sum == machine.offered, "S1: an item is in two places")
}

/// S2: a parcel has items, and each of its copies is a live batch that sent them.
fn each_parcel_is_out<W: Copy + Ord + Debug>(machine: &Machine<W>) -> Result<(), &'static str> {
    for (&id, parcel) in &machine.parcels {
        ensure(!parcel.items.is_empty(), "S2: a parcel is counted but not closed")?;
        ensure(!parcel.copies.is_empty(), "S2: a parcel is out nowhere")?;
        for copy in &parcel.copies {
            let batch = machine.batches.get(copy).filter(|batch| batch.parcel == id);
            let batch = batch.filter(|batch| batch.standing == Standing::Live);
            let sent = batch.is_some_and(|batch| batch.items.contains_all(&parcel.items));
            ensure(sent, "S2: a copy does not carry its parcel")?;
        }
        ensure(!machine.config.once || parcel.copies.len() == 1, "S2: a duplicate of what must run once")?;
    }
    Ok(())
}

/// S3: workers and batches agree on who holds what, within the bounds.
fn each_worker_holds_what_names_it<W: Copy + Ord + Debug>(machine: &Machine<W>) -> Result<(), &'static str> {
    let mut held = 0;
    for (&key, worker) in &machine.workers {
        held += worker.held.len();
        let owns = |id: &BatchId| {
            machine.batches.get(id).is_some_and(|batch| batch.worker == key && batch.standing != Standing::Lost)
        };
        ensure(worker.held.iter().all(owns), "S3: a worker holds a batch of another")?;
    }
    let out = machine.batches.values().filter(|batch| batch.standing != Standing::Lost).count();
    ensure(held == out, "S3: a batch is held by nobody")
}

fn ensure(holds: bool, rule: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(rule) }
}
