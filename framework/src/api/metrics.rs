use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::calls::router::Router;

/// What a node has counted since it started, as of now: [`Node::metrics`](crate::Node::metrics).
///
/// Numbers that belong together may be a moment apart. Nothing here was measured for it: asking costs no message and holds
/// nobody up. Each field says by which name Prometheus knows it; [`samples`](Self::samples) has them all.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// The calls of each function that this node has made. At most 1024 names have their own; calls of all others, and of
    /// names that nobody has, are together under `other`.
    pub functions: BTreeMap<String, FunctionMetrics>,
    /// Calls now, and what carries them.
    pub calls: CallMetrics,
    /// Calls that this node has answered, its own among them.
    pub served: ServedMetrics,
    /// Whether peers answer.
    pub detector: DetectorMetrics,
    /// Views.
    pub membership: MembershipMetrics,
    /// What nodes say about themselves.
    pub catalog: CatalogMetrics,
    /// Links.
    pub links: LinkMetrics,
    /// Channels.
    pub channels: ChannelMetrics,
    /// What nodes say to all others: entries and topics.
    pub sayings: SayingMetrics,
    /// Mutexes.
    pub mutexes: MutexMetrics,
    /// What has become of variables.
    pub variables: VariableMetrics,
    /// What tasks of this node have waited for what they wanted to be done with variables. `guthi_variable_seconds`
    pub variable_waits: Histogram,
    /// What tasks of this node have waited for their guards. `guthi_mutex_wait_seconds`
    pub mutex_waits: Histogram,
    /// For how long they have held them. `guthi_mutex_hold_seconds`
    pub mutex_holds: Histogram,
}

/// The calls of one function that this node has made, wherever they ran.
///
/// A call counts when it has ended; one that was dropped before does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionMetrics {
    /// Calls that have ended. `guthi_call_made_total{function}`
    pub count: u64,
    /// Those of them that gave no result. `guthi_call_errors_total{function}`
    pub errors: u64,
    /// Items of maps that have ended; they are no calls. `guthi_call_items_total{function}`
    pub items: u64,
    /// What the calls took, tries that failed included. `guthi_call_duration_seconds{function}`
    pub durations: Histogram,
}

/// One number under the name by which Prometheus knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// Its name.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// It may fall as well.
    pub gauge: bool,
    /// What tells it from others of its name.
    pub label: Option<(&'static str, &'static str)>,
    /// The number.
    pub value: u64,
}

impl FunctionMetrics {
    pub(crate) fn add(&mut self, more: &Self) {
        self.count += more.count;
        self.errors += more.errors;
        self.items += more.items;
        self.durations.add(&more.durations);
    }
}

impl Metrics {
    pub(crate) fn of(
        router: &Router,
        channels: &ChannelCounts,
        mutexes: &MutexMeters,
        variables: &VariableMeters,
        sayings: &SayingCounts,
    ) -> Self {
        let (meters, driver) = (router.executor().meters(), router.roster().counts());
        let unanswered = router.roster().load().routes.values().map(|route| u64::from(route.lane.outstanding())).sum();
        let running = router.executor().accepted() as u64;
        Self {
            functions: meters.functions(),
            calls: CallMetrics { unanswered, running, ..meters.calls.seen() },
            served: meters.served.seen(),
            detector: driver.detector.seen(),
            membership: driver.membership.seen(),
            catalog: driver.catalog.seen(),
            links: driver.links.seen(),
            channels: channels.seen(),
            sayings: sayings.seen(),
            mutexes: mutexes.counts.seen(),
            variables: variables.counts.seen(),
            variable_waits: variables.waits.seen(),
            mutex_waits: mutexes.waits.seen(),
            mutex_holds: mutexes.holds.seen(),
        }
    }

    /// Everything but the [functions](Self::functions); those of one name follow each other.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        self.calls.sample(&mut samples);
        self.served.sample(&mut samples);
        self.detector.sample(&mut samples);
        self.membership.sample(&mut samples);
        self.catalog.sample(&mut samples);
        self.links.sample(&mut samples);
        self.channels.sample(&mut samples);
        self.sayings.sample(&mut samples);
        self.mutexes.sample(&mut samples);
        self.variables.sample(&mut samples);
        samples
    }
}

/// A number that only rises. Whoever counts waits for nobody.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers that belong together: as users see them, and as they are counted.
macro_rules! counted {
    ($(#[$about:meta])* $seen:ident, $counting:ident {
        $(#[doc = $help:literal] $(#[doc = $more:literal])? $field:ident: $kind:ident $name:literal $({ $key:ident = $value:literal })?,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $seen {
            $(#[doc = $help] $(#[doc = $more])? #[doc = concat!(" `", $name, $("{", stringify!($key), "=\"", $value, "\"}",)? "`")] pub $field: u64,)*
        }

        impl $seen {
            fn sample(&self, samples: &mut Vec<Sample>) {
                $(samples.push(Sample {
                    name: $name,
                    help: $help.trim_ascii(),
                    gauge: counted!(@is_gauge $kind),
                    label: counted!(@label $($key $value)?),
                    value: self.$field,
                });)*
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct $counting {
            $(pub(crate) $field: Count,)*
        }

        impl $counting {
            pub(crate) fn seen(&self) -> $seen {
                $seen { $($field: self.$field.get(),)* }
            }
        }
    };
    (@is_gauge total) => { false };
    (@is_gauge gauge) => { true };
    (@label) => { None };
    (@label $key:ident $value:literal) => { Some((stringify!($key), $value)) };
}

counted! {
    /// Calls now, and what carries them.
    CallMetrics, CallCounts {
        /// Calls of this node that wait for the answer of another one.
        unanswered: gauge "guthi_call_unanswered",
        /// Calls that this node has accepted, and that have not ended: they run, or wait for a worker.
        running: gauge "guthi_call_running",
        /// Bytes of calls, of answers and of what belongs to them, with their headers.
        sent_bytes: total "guthi_call_frame_bytes_total" { direction = "sent" },
        /// Bytes of calls, of answers and of what belongs to them, with their headers.
        received_bytes: total "guthi_call_frame_bytes_total" { direction = "received" },
    }
}

counted! {
    /// How the calls ended that this node has answered, its own among them. A batch of a map is one.
    ServedMetrics, ServedCounts {
        /// Calls that were answered, by how they ended.
        /// With a result.
        ok: total "guthi_call_served_total" { outcome = "ok" },
        /// Calls that were answered, by how they ended.
        /// The function said no, or its result cannot travel.
        failed: total "guthi_call_served_total" { outcome = "failed" },
        /// Calls that were answered, by how they ended.
        /// The function panicked.
        panicked: total "guthi_call_served_total" { outcome = "panicked" },
        /// Calls that were answered, by how they ended.
        /// They were cancelled.
        cancelled: total "guthi_call_served_total" { outcome = "cancelled" },
        /// Calls that were answered, by how they ended.
        /// Their deadline passed.
        late: total "guthi_call_served_total" { outcome = "late" },
        /// Calls that were answered, by how they ended.
        /// The node, or the function, was at its limits.
        overloaded: total "guthi_call_served_total" { outcome = "overloaded" },
        /// Calls that were answered, by how they ended.
        /// The function is not there, or has other arguments.
        refused: total "guthi_call_served_total" { outcome = "refused" },
    }
}

counted! {
    /// What the detector has noticed: this node's own opinion of its peers.
    DetectorMetrics, DetectorCounts {
        /// Peers that were ready for the first time.
        joins: total "guthi_detector_joins_total",
        /// Times that a peer's link broke, or it was late with an answer.
        suspicions: total "guthi_detector_suspicions_total",
        /// Times that a suspected peer has answered after all.
        trusts: total "guthi_detector_trusts_total",
        /// Times that a peer was taken for dead.
        failures: total "guthi_detector_failures_total",
        /// Times that a peer came back that had failed or left.
        recoveries: total "guthi_detector_recoveries_total",
        /// Times that a peer has said goodbye.
        goodbyes: total "guthi_detector_goodbyes_total",
        /// Echoes that peers have sent; each is answered.
        echoes: total "guthi_detector_echoes_total",
        /// Echoes of this node that peers have answered.
        answers: total "guthi_detector_answers_total",
        /// Attempts to link with a peer again.
        relinks: total "guthi_detector_relinks_total",
        /// Links that were ended since nothing came over them for too long.
        unlinks: total "guthi_detector_unlinks_total",
        /// Peers that were forgotten, long after they were lost.
        forgotten: total "guthi_detector_forgotten_total",
        /// Messages that changed nothing.
        ignored: total "guthi_detector_ignored_total",
    }
}

counted! {
    /// What the members have agreed on, as this node took part in it.
    MembershipMetrics, MembershipCounts {
        /// Views that were installed.
        views: total "guthi_membership_views_total",
        /// Members that came in with a view.
        joined: total "guthi_membership_joined_total",
        /// Members that a view was without, whatever the reason.
        lost: total "guthi_membership_lost_total",
        /// Times that a view was wedged, for the next one to come.
        wedges: total "guthi_membership_wedges_total",
        /// Times that a view became active.
        activations: total "guthi_membership_activations_total",
        /// Times that others went on without this node.
        exclusions: total "guthi_membership_exclusions_total",
        /// Times that too few voters answered, for a while.
        isolations: total "guthi_membership_isolations_total",
        /// Times that enough voters answered again.
        connections: total "guthi_membership_connections_total",
        /// Times that this node has left, as it wanted to.
        departures: total "guthi_membership_departures_total",
        /// Times that another lineage was in sight that does not give way by itself.
        foreign_lineages: total "guthi_membership_foreign_lineages_total",
        /// Times that what this node held was to be rescued.
        rescues: total "guthi_membership_rescues_total",
        /// Times that this node has gone over to another lineage.
        moves: total "guthi_membership_moves_total",
        /// Messages that changed nothing.
        ignored: total "guthi_membership_ignored_total",
    }
}

counted! {
    /// What nodes say about themselves.
    CatalogMetrics, CatalogCounts {
        /// Changes of other nodes' catalogs that came here.
        changes: total "guthi_catalog_changes_total",
        /// Times that a change was read for what the peer says of itself; entries that programs write are not.
        readings: total "guthi_catalog_readings_total",
        /// Times that a peer's catalog was complete for the first time over a link.
        descriptions: total "guthi_catalog_descriptions_total",
        /// Entries of this node that were not taken, since they exceed a bound.
        refusals: total "guthi_catalog_refusals_total",
        /// Messages that changed nothing.
        ignored: total "guthi_catalog_ignored_total",
    }
}

counted! {
    /// Links with other nodes.
    LinkMetrics, LinkCounts {
        /// Links that were made.
        made: total "guthi_link_made_total",
        /// Links that have ended, whatever the reason.
        lost: total "guthi_link_lost_total",
        /// Bytes of control messages, with their headers.
        sent_bytes: total "guthi_link_control_bytes_total" { direction = "sent" },
        /// Bytes of control messages, with their headers.
        received_bytes: total "guthi_link_control_bytes_total" { direction = "received" },
    }
}

counted! {
    /// What nodes say to all others without agreement.
    SayingMetrics, SayingCounts {
        /// Changes of published and ephemeral entries that came from other nodes.
        heard: total "guthi_entry_changes_total",
        /// Values of entries and topics that were passed over, since they are of another type than their reader's.
        unread: total "guthi_saying_unread_total",
        /// Messages of topics that went to a link or came from one; each link counts.
        sent: total "guthi_topic_messages_total" { direction = "sent" },
        /// Messages of topics that went to a link or came from one; each link counts.
        received: total "guthi_topic_messages_total" { direction = "received" },
        /// Messages of topics that were dropped, the oldest first, by where they waited for too long.
        /// For a link.
        dropped: total "guthi_topic_dropped_total" { place = "link" },
        /// Messages of topics that were dropped, the oldest first, by where they waited for too long.
        /// For a subscriber.
        missed: total "guthi_topic_dropped_total" { place = "subscriber" },
        /// Messages of topics that changed nothing: nobody here subscribes any more, or they are not what they should be.
        ignored: total "guthi_topic_ignored_total",
    }
}

counted! {
    /// Channels.
    ChannelMetrics, ChannelCounts {
        /// Channels that this node has opened.
        opened: total "guthi_channel_opened_total",
        /// Channels of other nodes, or of its own, that this node has accepted.
        accepted: total "guthi_channel_accepted_total",
        /// Channels that this node has refused, and streams that were the beginning of none.
        refused: total "guthi_channel_refused_total",
        /// Bytes on channels.
        sent_bytes: total "guthi_channel_bytes_total" { direction = "sent" },
        /// Bytes on channels.
        received_bytes: total "guthi_channel_bytes_total" { direction = "received" },
    }
}

counted! {
    /// What has become of mutexes on this node.
    MutexMetrics, MutexCounts {
        /// Guards that tasks of this node were granted.
        grants: total "guthi_mutex_grants_total",
        /// Tries that were refused, since somebody else had the mutex or waited for it.
        refusals: total "guthi_mutex_refusals_total",
        /// Guards that were lost before they were given back.
        losses: total "guthi_mutex_losses_total",
        /// Tokens that were passed on to another node.
        handoffs: total "guthi_mutex_handoffs_total",
        /// Tokens that this node has made for a view, since nobody had brought one into it.
        made: total "guthi_mutex_made_total",
        /// Those of them whose last holder has perhaps died.
        deaths: total "guthi_mutex_deaths_total",
        /// Messages and commands that changed nothing.
        ignored: total "guthi_mutex_ignored_total",
    }
}

counted! {
    /// What has become of variables on this node.
    VariableMetrics, VariableCounts {
        /// Reads for which a copy had to be fetched; those that a copy was there for cost nothing, and are not counted.
        misses: total "guthi_variable_misses_total",
        /// Operations that tasks of this node have an answer for.
        operations: total "guthi_variable_operations_total",
        /// Copies of this node that were taken back.
        withdrawals: total "guthi_variable_withdrawals_total",
        /// Versions that were written with this node as the first home.
        commits: total "guthi_variable_commits_total",
        /// Operations that they were made of.
        committed: total "guthi_variable_committed_operations_total",
        /// Copies that were taken back for them.
        invalidations: total "guthi_variable_invalidations_total",
        /// Shards that this node began to serve.
        activations: total "guthi_variable_shards_served_total",
        /// Shards of which nobody was left who had them.
        orphans: total "guthi_variable_shards_orphaned_total",
        /// Those of them that somebody has begun anew.
        resets: total "guthi_variable_shards_reset_total",
        /// Messages and commands that changed nothing.
        ignored: total "guthi_variable_ignored_total",
    }
}

/// What handles count of variables, and the driver.
#[derive(Debug, Default)]
pub(crate) struct VariableMeters {
    pub(crate) counts: VariableCounts,
    pub(crate) waits: Durations,
}

impl VariableMeters {
    pub(crate) fn operated(&self, waited: Duration) {
        self.counts.operations.one();
        self.waits.note(waited);
    }
}

/// What handles count of mutexes, and the driver.
#[derive(Debug, Default)]
pub(crate) struct MutexMeters {
    pub(crate) counts: MutexCounts,
    pub(crate) waits: Durations,
    pub(crate) holds: Durations,
}

impl MutexMeters {
    pub(crate) fn granted(&self, waited: Duration) {
        self.counts.grants.one();
        self.waits.note(waited);
    }

    pub(crate) fn given_back(&self, held: Duration, was_good: bool) {
        self.holds.note(held);
        if !was_good {
            self.counts.losses.one();
        }
    }
}

/// What the driver counts.
#[derive(Debug, Default)]
pub(crate) struct DriverCounts {
    pub(crate) detector: DetectorCounts,
    pub(crate) membership: MembershipCounts,
    pub(crate) catalog: CatalogCounts,
    pub(crate) links: LinkCounts,
}

/// How many there are of each range of durations; each range is as long as all shorter ones together, from a microsecond
/// to eighteen minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum: Duration,
}

const BUCKETS: usize = 32;

/// The longest duration of a bucket; the last one has none.
const fn bound(bucket: usize) -> Duration {
    Duration::from_micros(1 << bucket)
}

/// The bucket of a duration.
fn bucket(duration: Duration) -> usize {
    // In 64 bits: dividing 128 would take longer than all else that is counted.
    let micros =
        duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_nanos().div_ceil(1000)));
    let bits = u64::BITS - micros.saturating_sub(1).leading_zeros();
    usize::try_from(bits).map_or(BUCKETS - 1, |bits| bits.min(BUCKETS - 1))
}

impl Histogram {
    fn add(&mut self, more: &Self) {
        self.counts.iter_mut().zip(more.counts).for_each(|(count, more)| *count += more);
        self.sum = self.sum.saturating_add(more.sum);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// How long the longest of the shortest `share` of them is about, so that 0.5 asks for the median; `None` if there are
    /// none.
    ///
    /// Within a range they are taken to be spread evenly: above a microsecond it is wrong by less than a factor of two.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = share.clamp(0.0, 1.0) * self.count() as f64;
        let mut below = 0.0;
        for (bucket, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if below + count >= rank {
                let from = if bucket == 0 { Duration::ZERO } else { bound(bucket - 1) };
                let to = if bucket == BUCKETS - 1 { from } else { bound(bucket) };
                return Some(from + (to - from).mul_f64((rank - below) / count));
            }
            below += count;
        }
        None
    }

    /// For each range its longest duration, and how many last no longer than that. Only the last range has no end, and is
    /// left out: what it has is in [`count`](Self::count).
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.counts[..BUCKETS - 1].iter().enumerate().scan(0, |sum, (bucket, count)| {
            *sum += count;
            Some((bound(bucket), *sum))
        })
    }
}

/// A histogram that is filled by many at once.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    counts: [Count; BUCKETS],
    nanos: Count,
}

impl Durations {
    pub(crate) fn note(&self, duration: Duration) {
        self.counts[bucket(duration)].one();
        self.nanos.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn seen(&self) -> Histogram {
        let counts = std::array::from_fn(|bucket| self.counts[bucket].get());
        Histogram { counts, sum: Duration::from_nanos(self.nanos.get()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(durations: impl IntoIterator<Item = Duration>) -> Histogram {
        let filled = Durations::default();
        durations.into_iter().for_each(|duration| filled.note(duration));
        filled.seen()
    }

    #[test]
    fn a_duration_is_in_the_first_range_that_it_fits() {
        for (nanos, expected) in [(0, 0), (1, 0), (1000, 0), (1001, 1), (2000, 1), (2001, 2), (4000, 2), (4001, 3)] {
            assert_eq!(bucket(Duration::from_nanos(nanos)), expected, "{nanos}");
        }
        for last in 1..BUCKETS - 1 {
            assert_eq!((bucket(bound(last)), bucket(bound(last) + Duration::from_nanos(1))), (last, last + 1));
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_right_within_a_factor_of_two() {
        let micros: Vec<u64> = (1..=1000).collect();
        let filled = histogram(micros.iter().map(|micros| Duration::from_micros(*micros)));
        assert_eq!((filled.count(), filled.sum()), (1000, Duration::from_micros(500_500)));
        for share in [0.0, 0.001, 0.25, 0.5, 0.9, 0.99, 1.0] {
            let exact = (share * 1000.0f64).max(1.0);
            let found = filled.quantile(share).unwrap().as_secs_f64() * 1e6;
            assert!(share == 0.0 || (exact / 2.0..=exact * 2.0).contains(&found), "{share}: {exact} {found}");
        }
        assert!(filled.quantile(0.5) < filled.quantile(0.9));
        assert_eq!(filled.quantile(7.0), filled.quantile(1.0));
    }

    #[test]
    fn nothing_has_no_quantile_and_the_endless_range_has_its_begin() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(histogram([Duration::MAX]).quantile(0.5), Some(bound(BUCKETS - 2)));
        assert_eq!(histogram([Duration::from_secs(1)]).quantile(f64::NAN), None);
    }

    #[test]
    fn buckets_add_up() {
        let filled = histogram([1, 3, 4, 5000].map(Duration::from_micros));
        let buckets: Vec<_> = filled.buckets().collect();
        let micros = |n| Duration::from_micros(n);
        assert_eq!(buckets[..4], [(micros(1), 1), (micros(2), 1), (micros(4), 3), (micros(8), 3)]);
        assert_eq!((buckets.len(), buckets[BUCKETS - 2].1), (BUCKETS - 1, 4));
    }

    #[test]
    fn samples_of_one_name_follow_each_other_and_say_the_same() {
        let samples = Metrics::default().samples();
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (position, sample) in samples.iter().enumerate() {
            let fits = |part: char| part.is_ascii_lowercase() || part == '_';
            assert!(sample.name.starts_with("guthi_") && sample.name.chars().all(fits), "{}", sample.name);
            assert_eq!(sample.gauge, !sample.name.ends_with("_total"), "{}", sample.name);
            groups.entry(sample.name).or_default().push(position);
        }
        for (name, positions) in groups {
            assert_eq!(positions.last().unwrap() - positions[0] + 1, positions.len(), "{name}");
            let labels: std::collections::BTreeSet<_> = positions.iter().map(|at| samples[*at].label).collect();
            assert_eq!(labels.len(), positions.len(), "{name}");
        }
    }

    #[test]
    fn every_name_stands_in_the_book_with_what_it_counts() {
        let book = include_str!("../../../docs/observability.md");
        for Sample { name, help, label, .. } in Metrics::default().samples() {
            let row = book
                .lines()
                .find(|line| line.starts_with(&format!("| `{name}` |")))
                .unwrap_or_else(|| panic!("{name}"));
            assert!(row.contains(help), "{name}: {help}");
            assert!(
                label.is_none_or(|(key, value)| row.contains(&format!("`{key}`")) && row.contains(value)),
                "{name}"
            );
        }
    }
}
