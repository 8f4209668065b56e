//! The fast way for registers whose values are written once: Gibbons and Korach's. See the module's essay.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::{Answer, Call, Conflict, Moment, Operation, Reply, Verdict, operation, record};

/// Whether the operations on a register are linearizable, in O(n log n).
///
/// # Errors
/// [`Unsuited`] if they are not those of a register, or a value was written twice.
pub fn zones(initial: Option<i64>, operations: &[Operation<Call, Reply>]) -> Result<Verdict, Unsuited> {
    let register = Register::new(initial, operations)?;
    match register.order(Moment::NEVER) {
        Ok(order) => Ok(Verdict::Linearizable { order }),
        Err(clash) => Ok(Verdict::NotLinearizable(register.first_conflict(clash))),
    }
}

/// Why zones cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsuited {
    /// Something else than reads and writes, or an answer that a plain register does not give.
    #[error("operation {index} is not a plain read or write")]
    NotARegister {
        /// Which one.
        index: usize,
    },
    /// Nobody can say which of the writes was read.
    #[error("{value} was written twice, or was there from the beginning and then written")]
    WrittenTwice {
        /// What was written.
        value: i64,
    },
}

struct Register<'a> {
    operations: &'a [Operation<Call, Reply>],
    /// Each operation's cluster; none for a read without an answer, or of a value that nobody wrote.
    cluster_of: Vec<Option<usize>>,
    /// Of each cluster the write. The first is the initial value's, which has none.
    writes: Vec<Option<usize>>,
}

/// A write and those who read it.
#[derive(Clone, Copy)]
struct Cluster {
    /// The first end in it, and whose; never, for a pending write that nobody read.
    low: (Moment, Option<usize>),
    /// The last start in it, and whose.
    high: (Moment, Option<usize>),
}

struct Clash {
    core: Vec<usize>,
    reason: String,
}

impl<'a> Register<'a> {
    fn new(initial: Option<i64>, operations: &'a [Operation<Call, Reply>]) -> Result<Self, Unsuited> {
        let mut writes = vec![None];
        let mut clusters: HashMap<Option<i64>, usize, FxBuildHasher> = HashMap::default();
        clusters.insert(initial, 0);
        for (index, operation) in operations.iter().enumerate() {
            if operation.ret().is_some_and(|reply| reply.version.is_some()) {
                return Err(Unsuited::NotARegister { index });
            }
            match (operation.op, operation.ret().map(|reply| reply.answer)) {
                (Call::Set(value), None | Some(Answer::Done)) => {
                    if clusters.insert(Some(value), writes.len()).is_some() {
                        return Err(Unsuited::WrittenTwice { value });
                    }
                    writes.push(Some(index));
                }
                (Call::Get, None | Some(Answer::Value(_) | Answer::Missing)) => {}
                _ => return Err(Unsuited::NotARegister { index }),
            }
        }
        let cluster = |operation: &Operation<Call, Reply>| match (operation.op, operation.ret()?.answer) {
            (Call::Get, Answer::Value(value)) => clusters.get(&value).copied(),
            _ => clusters.get(&None).copied(),
        };
        let cluster_of = operations
            .iter()
            .map(|operation| match operation.op {
                Call::Set(value) => clusters.get(&Some(value)).copied(),
                _ => cluster(operation),
            })
            .collect();
        Ok(Self { operations, cluster_of, writes })
    }

    /// Finds the misfit: the first `good` answers have an order, and the first `bad` with the one after them clash.
    /// Whatever is linearizable has linearizable prefixes, so this can go by halves.
    fn first_conflict(&self, mut clash: Clash) -> Conflict {
        let by_end = record::by_end(self.operations);
        let last = |clash: &Clash, answers: usize| {
            let ended = by_end[..answers].iter().rposition(|index| clash.core.contains(index));
            ended.expect("an answer takes part in every clash")
        };
        let mut prefix = Vec::new();
        let mut good = 0;
        let mut bad = last(&clash, by_end.len());
        let mut probe = bad;
        while good < bad {
            match self.order(self.operations[by_end[probe - 1]].end()) {
                Ok(order) => (prefix, good) = (order, probe),
                Err(earlier) => {
                    bad = last(&earlier, probe);
                    clash = earlier;
                }
            }
            probe = good + (bad - good).div_ceil(2);
        }
        Conflict { misfit: by_end[bad], prefix, core: clash.core, reason: clash.reason }
    }

    /// An order for what had happened at `until`.
    fn order(&self, until: Moment) -> Result<Vec<usize>, Clash> {
        let clusters = self.clusters(until)?;
        let mut forward: Vec<usize> = (0..clusters.len()).filter(|&id| clusters[id].is_forward()).collect();
        forward.sort_unstable_by_key(|&id| clusters[id].low.0);
        for pair in forward.windows(2) {
            self.apart(&clusters[pair[0]], &clusters[pair[1]])?;
        }
        // Each cluster happens at one point: a forward one at its end, any other as soon as it can and no forward
        // one is under way.
        let mut points = vec![(Moment::BEGINNING, false); clusters.len()];
        for (id, cluster) in clusters.iter().enumerate() {
            points[id] = if cluster.is_forward() {
                (cluster.high.0, false)
            } else {
                let started = forward.partition_point(|&other| clusters[other].low.0 < cluster.high.0);
                let around = started.checked_sub(1).map(|last| &clusters[forward[last]]);
                if let Some(around) = around {
                    self.apart(around, cluster)?;
                }
                (around.map_or(cluster.high.0, |around| around.high.0.max(cluster.high.0)), true)
            };
        }
        let mut order: Vec<(_, usize)> = Vec::with_capacity(self.operations.len());
        for (index, operation) in self.operations.iter().enumerate() {
            let Some(id) = self.cluster_of[index] else { continue };
            let is_read = self.writes[id] != Some(index);
            let counts = if is_read { operation.end() <= until } else { operation.start < until };
            if counts {
                order.push(((points[id], id, is_read, operation.start), index));
            }
        }
        order.sort_unstable();
        Ok(order.into_iter().map(|(_, index)| index).collect())
    }

    /// The clusters at `until`; a clash if somebody had read what nobody had begun to write.
    fn clusters(&self, until: Moment) -> Result<Vec<Cluster>, Clash> {
        let mut clusters = vec![Cluster::NONE; self.writes.len()];
        clusters[0].low = (Moment::BEGINNING, None);
        for (index, operation) in self.operations.iter().enumerate() {
            let answered = !operation.is_pending() && operation.end() <= until;
            let is_write = matches!(operation.op, Call::Set(_));
            if !(answered || is_write && operation.start < until) {
                continue;
            }
            let Some(id) = self.cluster_of[index] else { return Err(self.read_of_nothing(index, None)) };
            if let Some(write) = self.writes[id].filter(|&write| self.operations[write].start > operation.end()) {
                return Err(self.read_of_nothing(index, Some(write)));
            }
            let cluster = &mut clusters[id];
            cluster.high = cluster.high.max((operation.start, Some(index)));
            if answered {
                cluster.low = cluster.low.min((operation.end(), Some(index)));
            }
        }
        Ok(clusters)
    }

    fn apart(&self, one: &Cluster, other: &Cluster) -> Result<(), Clash> {
        if one.low.0 >= other.high.0 || other.low.0 >= one.high.0 {
            return Ok(());
        }
        let tell = |index: Option<usize>| index.map_or_else(String::new, |index| self.tell(index));
        let before = |one: &Cluster, other: &Cluster| match one.low.1 {
            None => format!("The initial value was there before {} started.", tell(other.high.1)),
            low => format!("{} ended before {} started.", tell(low), tell(other.high.1)),
        };
        let mut core: Vec<usize> = [one.low.1, one.high.1, other.low.1, other.high.1].into_iter().flatten().collect();
        core.sort_unstable_by_key(|&index| self.operations[index].start);
        core.dedup();
        let (a, b) = (self.value(one), self.value(other));
        let reason = format!("{a} must come before {b} and after it.\n{}\n{}", before(one, other), before(other, one));
        Err(Clash { core, reason })
    }

    fn read_of_nothing(&self, read: usize, write: Option<usize>) -> Clash {
        let reason = match write {
            None => format!("{}: nobody writes that value.", self.tell(read)),
            Some(write) => format!("{} ended before {} started.", self.tell(read), self.tell(write)),
        };
        Clash { core: [Some(read), write].into_iter().flatten().collect(), reason }
    }

    fn tell(&self, index: usize) -> String {
        let operation = &self.operations[index];
        format!("client {}: {}", operation.client, operation::describe(&operation.op, operation.ret()))
    }

    /// The value that a cluster is about, in words.
    fn value(&self, cluster: &Cluster) -> String {
        let write = cluster.high.1.and_then(|index| self.cluster_of[index]).and_then(|id| self.writes[id]);
        match write.map(|write| self.operations[write].op) {
            Some(Call::Set(value)) => value.to_string(),
            _ => "the initial value".to_owned(),
        }
    }
}

impl Cluster {
    const NONE: Self = Self { low: (Moment::NEVER, None), high: (Moment::BEGINNING, None) };

    /// Whether it lasts: something in it started after something else had ended.
    fn is_forward(&self) -> bool {
        self.low.0 < self.high.0
    }
}
